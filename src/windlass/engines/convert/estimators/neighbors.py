"""Converters of k nearest neighbours, by comparison with every training row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.kd_tree_ties import k_smallest
from windlass.engines.convert.types import UnsupportedError
from windlass.errors import counted

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns, Graph

_MAX_ROWS, _MAX_CELLS = 5_000, 200_000  # of training; beyond, a tree search is faster


def neighbors_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a k-nearest-neighbours vote; the first of the classes with most votes wins."""
    if model.outputs_2d_:
        raise UnsupportedError("KNeighborsClassifier: several targets")
    members = np.eye(len(model.classes_))[model._y]  # noqa: SLF001 - it has no public name
    probabilities = _mean(compiler.graph, model, columns, members)
    return ClassifierOutput.from_probabilities(compiler.graph, probabilities)


def neighbors_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the mean of the nearest neighbours' targets."""
    if np.ndim(model._y) != 1:  # noqa: SLF001 - it has no public name
        raise UnsupportedError("KNeighborsRegressor: several targets")
    return _mean(compiler.graph, model, columns, np.asarray(model._y, np.float64).reshape(-1, 1))  # noqa: SLF001 - it has no public name


def _mean(graph: Graph, model: Any, columns: Columns, values: Array) -> str:
    """Append the weighted mean of ``values`` [training rows, outputs] over the neighbours."""
    if model.weights not in (None, "uniform", "distance"):
        raise UnsupportedError(f"{type(model).__name__}: weights by a function")
    distances, indices = _nearest(graph, model, graph.numeric_tensor(columns, model))
    neighbor_values = graph.node("Gather", graph.constant(values), indices, axis=0)
    axis = graph.constant([1])
    if model.weights != "distance":
        total = graph.node("ReduceSum", neighbor_values, axis, keepdims=0)
        return graph.node("Div", total, graph.constant(float(model.n_neighbors)))
    weights = inverse_distances(graph, distances)
    column = graph.node("Unsqueeze", weights, graph.constant([2]))
    total = graph.node("ReduceSum", graph.node("Mul", neighbor_values, column), axis, keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", weights, axis, keepdims=1))


def _nearest(graph: Graph, model: Any, rows: str) -> tuple[str, str]:
    """Append the search; return distances float64 and training rows int64, both [N, k]."""
    train = model._fit_X  # noqa: SLF001 - it has no public name
    power = {"euclidean": 2, "manhattan": 1, "l1": 1, "l2": 2, "cityblock": 1}.get(
        model.effective_metric_
    )
    if power is None or not isinstance(train, np.ndarray):
        raise UnsupportedError(f"{type(model).__name__}: metric={model.metric!r} is not converted")
    check_size(model, train)
    parts = [rows]
    if train.shape[1] > 1:
        parts = graph.multi_output_node(
            "Split", [rows], train.shape[1], axis=1, num_outputs=train.shape[1]
        )
    total = ""
    # Feature by feature, as scikit-learn's search trees add up, so that equal stays equal.
    for part, values in zip(parts, train.T.astype(np.float64), strict=True):
        gap = graph.node("Sub", part, graph.constant(values.reshape(1, -1)))
        term = graph.node("Mul", gap, gap) if power == 2 else graph.node("Abs", gap)
        total = graph.node("Add", total, term) if total else term
    nearest, indices = k_smallest(graph, total, parts, model, power)
    return (graph.node("Sqrt", nearest) if power == 2 else nearest), indices


def check_size(owner: Any, training: Array) -> None:
    """Raise UnsupportedError where a comparison with every row of ``training`` would be slow."""
    if len(training) > _MAX_ROWS or training.size > _MAX_CELLS:
        raise UnsupportedError(
            f"{type(owner).__name__}: {counted(len(training), 'training row')} are too many"
        )


def inverse_distances(graph: Graph, distances: str) -> str:
    """Append weights 1 / distance; where a neighbour is at distance 0, only those count."""
    zero = graph.node("Cast", graph.node("Equal", distances, graph.constant(0.0)), to=11)
    hit = graph.node("ReduceMax", zero, graph.constant([1]), keepdims=1)
    any_hit = graph.node("Greater", hit, graph.constant(0.0))
    return graph.node("Where", any_hit, zero, graph.node("Reciprocal", distances))
