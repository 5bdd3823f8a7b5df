"""Support vector machines in float64 (ONNX Runtime's own operators compute in float32)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.linear import affine
from windlass.engines.convert.estimators.svm_probabilities import coupled_probabilities
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns, Graph


def support_vector_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append the votes of all pairs, the decision function and, where fitted, probabilities."""
    graph, classes = compiler.graph, len(model.classes_)
    if model.decision_function_shape != "ovr":
        raise UnsupportedError(f"{type(model).__name__}: decision_function_shape='ovo'")
    kernel = _kernel(graph, graph.numeric_tensor(columns, model), model)
    pairs = affine(graph, kernel, _pair_weights(model), model._intercept_)
    votes, decision = _one_vs_rest(graph, pairs, classes)
    if classes == 2:
        decision = graph.node("Neg", pairs)
    ranks = decision if model.break_ties and classes > 2 else votes
    label = graph.node("ArgMax", ranks, axis=1, keepdims=0)
    # The public name of these warns that the option will be removed.
    fitted = len(getattr(model, "_probA", ()))
    return ClassifierOutput(
        label, coupled_probabilities(graph, pairs, model) if fitted else None, decision
    )


def support_vector_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a support vector regression."""
    graph = compiler.graph
    kernel = _kernel(graph, graph.numeric_tensor(columns, model), model)
    return affine(graph, kernel, np.asarray(model.dual_coef_).T, model.intercept_)


def _kernel(graph: Graph, rows: str, model: Any) -> str:
    """Append the kernel between rows and support vectors, float64 [N, vectors]."""
    if not isinstance(model.kernel, str) or model.kernel == "precomputed" or model._sparse:  # noqa: SLF001 - it has no public name
        raise UnsupportedError(f"{type(model).__name__}: this kernel is not converted")
    vectors = np.asarray(model.support_vectors_, np.float64)
    if model.kernel == "linear":
        return graph.node("MatMul", rows, graph.constant(vectors.T))
    gamma = float(model._gamma)  # noqa: SLF001 - it has no public name
    # Factors go into the vectors: ONNX Runtime would fuse a product of its own as a float32.
    if model.kernel == "rbf":
        return graph.node("Exp", _scaled_distances(graph, rows, vectors, -gamma))
    product = graph.node("MatMul", rows, graph.constant(gamma * vectors.T))
    shifted = graph.node("Add", product, graph.constant(float(model.coef0)))
    if model.kernel == "sigmoid":
        return graph.node("Tanh", shifted)
    return graph.node("Pow", shifted, graph.constant(float(model.degree)))


def _scaled_distances(graph: Graph, rows: str, vectors: Array, factor: float) -> str:
    """Append ``factor * |x - v|^2`` for rows x and vectors v, float64 [N, vectors].

    From the vectors' center, as ``|x|^2 - 2xv + |v|^2`` loses digits far from zero. Where a square overflows,
    that is infinity less infinity, and libsvm has infinity.
    """
    center = vectors.mean(axis=0)
    rows, vectors = graph.node("Sub", rows, graph.constant(center)), vectors - center
    squares = graph.node("ReduceSumSquare", rows, graph.constant([1]), keepdims=1)
    product = graph.node("MatMul", rows, graph.constant(-2.0 * vectors.T))
    norms = graph.constant((vectors**2).sum(axis=1))
    distance = graph.node("Add", graph.node("Add", squares, product), norms)
    scaled = graph.node("Mul", distance, graph.constant(factor))
    overflows = graph.node("IsNaN", scaled)
    return graph.node("Where", overflows, graph.constant(np.copysign(np.inf, factor)), scaled)


def _pair_weights(model: Any) -> Array:
    """Return weights [vectors, pairs]: libsvm keeps those of pair (i, j) in rows j-1 and i."""
    dual, counts = np.asarray(model._dual_coef_), np.asarray(model._n_support)  # noqa: SLF001 - it has no public name
    owner = np.repeat(np.arange(len(counts)), counts)
    weights = [
        np.where(owner == i, dual[j - 1], 0.0) + np.where(owner == j, dual[i], 0.0)
        for i, j in _pairs(len(counts))
    ]
    return np.stack(weights, axis=1)


def _one_vs_rest(graph: Graph, pairs: str, classes: int) -> tuple[str, str]:
    """Append the classes' votes of libsvm, and scikit-learn's decision function, float64 [N, c].

    For a value of zero, or NaN, libsvm's vote goes to the second class of the pair, that of
    ``_ovr_decision_function`` to the first. The latter adds squashed confidences to the votes.
    """
    wins = np.zeros((classes * (classes - 1) // 2, classes))
    sides = np.zeros_like(wins)
    for k, (i, j) in enumerate(_pairs(classes)):
        wins[k, i], wins[k, j], sides[k, i], sides[k, j] = -1.0, 1.0, 1.0, -1.0
    zero = graph.constant(0.0)
    positive, negative = (
        graph.node("Cast", graph.node(comparison, pairs, zero), to=11)
        for comparison in ("Greater", "Less")
    )
    votes = affine(graph, positive, -wins, (wins > 0).sum(axis=0))
    counts = affine(graph, negative, wins, (wins < 0).sum(axis=0))
    total = graph.node("MatMul", pairs, graph.constant(sides))
    size = graph.node("Add", graph.node("Abs", total), graph.constant(1.0))
    squashed = graph.node("Div", total, graph.node("Mul", size, graph.constant(3.0)))
    return votes, graph.node("Add", counts, squashed)


def _pairs(classes: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(classes) for j in range(i + 1, classes)]
