"""Appends NumPy's functions to the graph where ONNX has no operator of their precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Graph

_OPERATORS = {"log": "Log", "sqrt": "Sqrt", "exp": "Exp", "abs": "Abs", "absolute": "Abs"}


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
    one = graph.constant(1.0)
    total = graph.node("Add", name, one)
    logarithm = graph.node("Log", total)
    correction = graph.node("Div", name, graph.node("Sub", total, one))
    corrected = graph.node("Mul", logarithm, correction)
    lost = graph.node("Equal", logarithm, graph.constant(0.0))
    small = graph.node("Where", lost, name, corrected)
    # Infinity has no correction, and what is far beyond 1 needs none.
    return graph.node("Where", graph.node("Equal", total, name), logarithm, small)


def expm1(graph: Graph, name: str) -> str:
    """Append ``exp(x) - 1`` without cancellation: ``tanh(x / 2) * (exp(x) + 1)``."""
    half = graph.node("Tanh", graph.node("Mul", name, graph.constant(0.5)))
    return graph.node("Mul", half, graph.node("Add", graph.node("Exp", name), graph.constant(1.0)))
