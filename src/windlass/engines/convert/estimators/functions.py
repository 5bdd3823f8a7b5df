"""Converters of FunctionTransformer, PowerTransformer and PolynomialFeatures, in NumPy's precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

Term = tuple[int, ...]  # the features of one product

_OPERATORS = {"log": "Log", "sqrt": "Sqrt", "exp": "Exp", "abs": "Abs", "absolute": "Abs"}
_SMALLEST_BOX_COX = 1e-19  # of a lambda; SciPy takes the logarithm below it
_SMALLEST_YEO_JOHNSON = float(np.finfo(np.float64).eps)
_ROOT_OF_TWO_PI = 2.50662827463100050242
# exp(-2), below which, and above 1 less which, the logarithm decides
_NORMAL_TAIL = 0.13533528323661269189
_NORMAL_P0 = (
    -5.99633501014107895267e1, 9.80010754185999661536e1, -5.66762857469070293439e1,
    1.39312609387279679503e1, -1.23916583867381258016e0,
)  # fmt: skip
_NORMAL_Q0 = (
    1.0, 1.95448858338141759834e0, 4.67627912898881538453e0, 8.63602421390890590575e1,
    -2.25462687854119370527e2, 2.00260212380060660359e2, -8.20372256168333339912e1,
    1.59056225126211695515e1, -1.18331621121330003142e0,
)  # fmt: skip
_NORMAL_P1 = (
    4.05544892305962419923e0, 3.15251094599893866154e1, 5.71628192246421288162e1,
    4.40805073893200834700e1, 1.46849561928858024014e1, 2.18663306850790267539e0,
    -1.40256079171354495875e-1, -3.50424626827848203418e-2, -8.57456785154685413611e-4,
)  # fmt: skip
_NORMAL_Q1 = (
    1.0, 1.57799883256466749731e1, 4.53907635128879210584e1, 4.13172038254672030440e1,
    1.50425385692907503408e1, 2.50464946208309415979e0, -1.42182922854787788574e-1,
    -3.80806407691578277194e-2, -9.33259480895457427372e-4,
)  # fmt: skip


def function_transformer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append a function transformer, for the identity and a few NumPy functions."""
    # HistGradientBoosting wraps its own input check in one; it changes no value.
    wrapped = getattr(step.func, "func", None)
    if step.func is None or getattr(wrapped, "__name__", "") == "check_array":
        return columns
    if step.kw_args:
        raise UnsupportedError("FunctionTransformer: keyword arguments are not converted")
    graph = compiler.graph
    name = graph.numeric_tensor(columns, step)
    done = apply_function(graph, name, step.func, "FunctionTransformer")
    return graph.tensor_columns(done, len(columns))


def apply_function(graph: Graph, name: str, function: Any, owner: str) -> str:
    """Append a NumPy ufunc on a tensor and return its output; None is the identity."""
    if function is None:
        return name
    word = getattr(function, "__name__", "")
    if isinstance(function, np.ufunc):
        if word in _OPERATORS:
            return graph.node(_OPERATORS[word], name)
        if word == "log1p":
            return log1p(graph, name)
        if word == "expm1":
            return expm1(graph, name)
    raise UnsupportedError(f"{owner}: the function {word or function!r} has no ONNX counterpart")


def log1p(graph: Graph, name: str) -> str:
    """Append ``log(1 + x)`` without the rounding of ``1 + x``: ``x * log(u) / (u - 1)``, u = 1 + x.

    From "What Every Computer Scientist Should Know About Floating-Point Arithmetic"
    (Goldberg 1991), theorem 4.
    """
    unit = graph.constant(1.0)
    total = graph.node("Add", name, unit)
    logarithm = graph.node("Log", total)
    correction = graph.node("Div", name, graph.node("Sub", total, unit))
    corrected = graph.node("Mul", logarithm, correction)
    lost = graph.node("Equal", logarithm, graph.constant(0.0))
    small = graph.node("Where", lost, name, corrected)
    # Infinity has no correction, and what is far beyond 1 needs none.
    return graph.node("Where", graph.node("Equal", total, name), logarithm, small)


def expm1(graph: Graph, name: str) -> str:
    """Append ``exp(x) - 1`` without cancellation: ``tanh(x / 2) * (exp(x) + 1)``."""
    half = graph.node("Tanh", graph.node("Mul", name, graph.constant(0.5)))
    return graph.node("Mul", half, graph.node("Add", graph.node("Exp", name), graph.constant(1.0)))


def expit(graph: Graph, name: str) -> str:
    """Append ``1 / (1 + exp(-x))`` as SciPy computes it; ONNX Runtime's Sigmoid rounds small values to 0."""
    growth = graph.node("Exp", graph.node("Neg", name))
    return graph.node("Reciprocal", graph.node("Add", growth, graph.constant(1.0)))


def normal_quantile(graph: Graph, shares: str) -> str:
    """Append the quantile of the standard normal distribution, for shares strictly between 1e-14 and 1 - 1e-14.

    ``ndtri`` of the Cephes library (Moshier 1989), step by step, as SciPy computes it.
    """
    half = graph.constant(0.5)
    above = graph.node("Greater", shares, graph.constant(1.0 - _NORMAL_TAIL))
    tail = graph.node("Where", above, graph.node("Sub", graph.constant(1.0), shares), shares)
    middle = graph.node("Sub", tail, half)
    square = graph.node("Mul", middle, middle)
    ratio = graph.node("Mul", square, polynomial(graph, square, _NORMAL_P0))
    ratio = graph.node("Div", ratio, polynomial(graph, square, _NORMAL_Q0))
    central = graph.node("Add", middle, graph.node("Mul", middle, ratio))
    central = graph.node("Mul", central, graph.constant(_ROOT_OF_TWO_PI))
    root = graph.node("Mul", graph.node("Log", tail), graph.constant(-2.0))
    root = graph.node("Sqrt", root)
    first = graph.node("Sub", root, graph.node("Div", graph.node("Log", root), root))
    inverse = graph.node("Reciprocal", root)
    ratio = graph.node("Mul", inverse, polynomial(graph, inverse, _NORMAL_P1))
    ratio = graph.node("Div", ratio, polynomial(graph, inverse, _NORMAL_Q1))
    outer = graph.node("Sub", first, ratio)
    outer = graph.node("Where", above, outer, graph.node("Neg", outer))
    is_central = graph.node("Greater", tail, graph.constant(_NORMAL_TAIL))
    return graph.node("Where", is_central, central, outer)


def polynomial(graph: Graph, name: str, coefficients: Sequence[float]) -> str:
    """Append a polynomial by Horner's rule, the highest power first."""
    total = graph.node("Mul", name, graph.constant(coefficients[0]))
    if coefficients[0] == 1.0:
        total = name
    for coefficient in coefficients[1:-1]:
        total = graph.node("Mul", graph.node("Add", total, graph.constant(coefficient)), name)
    return graph.node("Add", total, graph.constant(coefficients[-1]))


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


def polynomial_features(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the products of up to ``degree`` columns, three nodes for each degree."""
    graph = compiler.graph
    smallest, largest = step._min_degree, step._max_degree  # noqa: SLF001 - they have no public name
    rows = graph.numeric_tensor(columns, step)
    result: Columns = ()
    if step.include_bias:
        result += graph.tensor_columns(graph.full(1.0, rows), 1)
    terms: list[Term] = [(feature,) for feature in range(len(columns))]
    products = rows
    for degree in range(1, largest + 1):
        if degree > 1:
            factors = _factors(terms, len(columns), interaction_only=step.interaction_only)
            if not factors:
                break
            features, previous = zip(*factors, strict=True)
            products = graph.node(
                "Mul", graph.gather(products, previous), graph.gather(rows, features)
            )
            terms = [(feature, *terms[at]) for feature, at in factors]
        if degree >= smallest:
            result += columns if degree == 1 else graph.tensor_columns(products, len(terms))
    return result


def _factors(terms: list[Term], features: int, *, interaction_only: bool) -> list[tuple[int, int]]:
    """Return the next degree's terms: the new first feature, and the position of the rest in ``terms``."""
    return [
        (feature, at)
        for feature in range(features)
        for at, term in enumerate(terms)
        if term[0] > feature or (term[0] == feature and not interaction_only)
    ]
