"""Converter of PowerTransformer: Box-Cox and Yeo-Johnson, for all columns at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.functions import expm1, log1p

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

_SMALLEST_BOX_COX = 1e-19  # of a lambda; SciPy takes the logarithm below it
_SMALLEST_YEO_JOHNSON = float(np.finfo(np.float64).eps)


def power_transformer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the power transformation, and the standardisation where it is fitted."""
    graph, lambdas = compiler.graph, np.asarray(step.lambdas_, np.float64)
    rows = graph.numeric_tensor(columns, step)
    box_cox = step.method == "box-cox"
    if box_cox:
        compiler.reject(graph.node("LessOrEqual", rows, graph.constant(0.0)))
    transform = _box_cox if box_cox else _yeo_johnson
    powers = graph.tensor_columns(transform(graph, rows, lambdas), len(columns))
    # The scaler is a fitted StandardScaler.
    return compiler.transform(step._scaler, powers) if step.standardize else powers  # noqa: SLF001 - it has no public name


def _box_cox(graph: Graph, rows: str, lambdas: Array) -> str:
    """Append ``(x ** lambda - 1) / lambda``, ``log(x)`` for lambda 0."""
    return _power(graph, graph.node("Log", rows), lambdas, np.abs(lambdas) < _SMALLEST_BOX_COX)


def _yeo_johnson(graph: Graph, rows: str, lambdas: Array) -> str:
    """Append Box-Cox of ``1 + x`` from zero on, and of ``1 - x`` with ``2 - lambda`` below, negated."""
    logarithm = log1p(graph, graph.node("Abs", rows))
    above = _power(graph, logarithm, lambdas, np.abs(lambdas) < _SMALLEST_YEO_JOHNSON)
    below = _power(graph, logarithm, 2.0 - lambdas, np.abs(lambdas - 2.0) <= _SMALLEST_YEO_JOHNSON)
    positive = graph.node("GreaterOrEqual", rows, graph.constant(0.0))
    return graph.node("Where", positive, above, graph.node("Neg", below))


def _power(graph: Graph, logarithm: str, exponents: Array, zero: Array) -> str:
    """Append ``(exp(exponent * logarithm) - 1) / exponent``; the logarithm where the exponent is ``zero``."""
    divisors = np.where(zero, 1.0, exponents)
    growth = expm1(graph, graph.node("Mul", logarithm, graph.constant(divisors)))
    powers = graph.node("Div", growth, graph.constant(divisors))
    return graph.node("Where", graph.constant(zero), logarithm, powers) if zero.any() else powers
