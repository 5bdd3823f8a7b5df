"""Converter of KNNImputer: missing values become the mean of the nearest training rows that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.distances import squared_distances
from windlass.engines.convert.estimators.neighbors import check_size, inverse_distances
from windlass.engines.convert.graph import GraphValue
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns, Graph

_MAX_RATIO = 100_000  # its square is a millionth of the precision of float64
_BOOL, _DOUBLE, _INT64 = 9, 11, 7


def knn_imputer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the imputer; columns that were empty when it was fitted are dropped as it does."""
    if step.metric != "nan_euclidean" or callable(step.weights):
        raise UnsupportedError("KNNImputer: a metric or weights by a function are not converted")
    check_size(step, step._fit_X)  # noqa: SLF001 - it has no public name
    _require_comparable(compiler, step, columns)
    graph, valid = compiler.graph, step._valid_mask  # noqa: SLF001 - it has no public name
    rows = graph.numeric_tensor(columns, step)
    missing = _missing(compiler, step, rows)
    filled = _filled(graph, step, rows, missing) if valid.any() else rows
    result = graph.tensor_columns(filled, len(columns), [c.origin for c in columns])
    if step.keep_empty_features:
        zeros = graph.tensor_columns(graph.full(0.0, rows), 1)
        result = tuple(c if valid[c.index] else zeros[0] for c in result)
    else:
        result = tuple(c for c in result if valid[c.index])
    if step.add_indicator:
        features = step.indicator_.features_.tolist()
        flags = graph.node("Cast", graph.gather(missing, features), to=_DOUBLE)
        result += graph.tensor_columns(flags, len(features))
    return result


def _require_comparable(compiler: Compiler, step: Any, columns: Columns) -> None:
    """Raise UnsupportedError where a number may be so large that rounding makes all training rows equally near."""
    if len(columns) == 1 or not any(map(compiler.may_be_missing, columns)):
        return
    training = np.where(step._mask_fit_X, np.nan, step._fit_X)  # noqa: SLF001 - they have no public name
    ranges = np.fmax.reduce(training) - np.fmin.reduce(training)
    smallest = ranges[ranges > 0].min(initial=np.inf)
    if any(compiler.largest(column) > _MAX_RATIO * smallest for column in columns):
        raise UnsupportedError(
            f"KNNImputer: a column may be {_MAX_RATIO:,} times the range of another, where rounding decides which row"
            " is nearest; declare bounds (ge, le), or scale the columns before it"
        )


def _missing(compiler: Compiler, step: Any, rows: str) -> str:
    """Append which values are missing, boolean [N, features]."""
    graph = compiler.graph
    if np.isnan(step.missing_values):
        compiler.reject(graph.node("IsInf", rows))
        return graph.node("IsNaN", rows)
    compiler.reject_non_finite(rows)
    return graph.node("Equal", rows, graph.constant(float(step.missing_values)))


def _filled(graph: Graph, step: Any, rows: str, missing: str) -> str:
    """Append the rows with imputed values; without a missing value this costs a few nodes only."""
    axis = graph.constant([1])
    counts = graph.node("ReduceMax", graph.node("Cast", missing, to=_INT64), axis, keepdims=0)
    incomplete = graph.node("Cast", counts, to=_BOOL)
    some = graph.node("Cast", graph.node("ReduceMax", counts, keepdims=0), to=_BOOL)
    impute = graph.subgraph()
    chosen = impute.node("Compress", rows, incomplete, axis=0)
    gaps = impute.node("Compress", missing, incomplete, axis=0)
    imputed = _imputed(impute, step, chosen, gaps)
    positions = impute.node("Transpose", impute.node("NonZero", incomplete), perm=[1, 0])
    filled = impute.node("ScatterND", rows, positions, imputed)
    return _if(graph, some, impute, filled, otherwise=rows)


def _if(graph: Graph, condition: str, branch: Graph, result: str, otherwise: str) -> str:
    """Append the ``result`` of a subgraph where the condition is true, else the tensor ``otherwise``."""
    skip = graph.subgraph()
    unchanged = skip.node("Identity", otherwise)
    then, other = (
        inner.body([], [GraphValue(name, _DOUBLE)])
        for inner, name in ((branch, result), (skip, unchanged))
    )
    return graph.node("If", condition, then_branch=then, else_branch=other)


def _imputed(graph: Graph, step: Any, rows: str, missing: str) -> str:
    """Append incomplete rows with every gap filled, where the column has a value in training."""
    distances = _distances(graph, step, rows, missing)
    parts = []
    for feature, valid in enumerate(step._valid_mask):  # noqa: SLF001 - it has no public name
        values, gaps = graph.gather(rows, [feature]), graph.gather(missing, [feature])
        parts.append(_column(graph, step, distances, (feature, values, gaps)) if valid else values)
    return graph.node("Concat", *parts, axis=1)


def _column(graph: Graph, step: Any, distances: str, column: tuple[int, str, str]) -> str:
    """Append one column [N, 1] with its gaps filled; ``column`` is its number, values and gaps."""
    feature, values, gaps = column
    some = graph.node("ReduceMax", graph.node("Cast", gaps, to=_INT64), keepdims=0)
    impute = graph.subgraph()
    mean = _mean_of_donors(impute, step, distances, feature)
    filled = impute.node("Where", gaps, mean, values)
    return _if(graph, graph.node("Cast", some, to=_BOOL), impute, filled, otherwise=values)


def _mean_of_donors(graph: Graph, step: Any, distances: str, feature: int) -> str:
    """Append the weighted mean of the nearest donors [N, 1]; where none is comparable, of all of them."""
    training = step._fit_X[:, feature]  # noqa: SLF001 - it has no public name
    donors = np.flatnonzero(~step._mask_fit_X[:, feature])  # noqa: SLF001 - it has no public name
    if len(donors) < len(training):
        distances = graph.gather(distances, donors.tolist())
    nearest, indices = graph.multi_output_node(
        "TopK",
        [distances, graph.constant([min(step.n_neighbors, len(donors))])],
        2,
        axis=1,
        largest=0,
    )
    if step.weights == "distance":
        weights = inverse_distances(graph, nearest)
    else:
        finite = graph.node("Less", nearest, graph.constant(np.inf))
        weights = graph.node("Cast", finite, to=_DOUBLE)
    values = graph.node("Gather", graph.constant(training[donors]), indices, axis=0)
    axis = graph.constant([1])
    total = graph.node("ReduceSum", graph.node("Mul", values, weights), axis, keepdims=1)
    weight = graph.node("ReduceSum", weights, axis, keepdims=1)
    none = graph.node("Equal", weight, graph.constant(0.0))
    mean = graph.constant(float(np.ma.array(training[donors]).mean()))
    return graph.node("Where", none, mean, graph.node("Div", total, weight))


def _distances(graph: Graph, step: Any, rows: str, missing: str) -> str:
    """Append ``nan_euclidean_distances`` to the training rows, [N, rows]; infinite where undefined."""
    gaps = np.asarray(step._mask_fit_X)  # noqa: SLF001 - it has no public name
    points = np.array(step._fit_X, np.float64)  # noqa: SLF001 - it has no public name
    points[gaps] = 0.0
    values = graph.node("Where", missing, graph.constant(0.0), rows)
    total = squared_distances(graph, values, points)
    gaps_of_rows = graph.node("Cast", missing, to=_DOUBLE)
    # What one of both lacks does not count.
    for part, weights in (
        (graph.node("Mul", values, values), gaps.T.astype(np.float64)),
        (gaps_of_rows, (points * points).T),
    ):
        total = graph.node("Sub", total, graph.node("MatMul", part, graph.constant(weights)))
    total = graph.node("Max", total, graph.constant(0.0))
    present = graph.node("Sub", graph.constant(1.0), gaps_of_rows)
    shared = graph.node("MatMul", present, graph.constant((~gaps).T.astype(np.float64)))
    mean = graph.node("Div", total, graph.node("Max", shared, graph.constant(1.0)))
    distances = graph.node("Sqrt", graph.node("Mul", mean, graph.constant(float(points.shape[1]))))
    undefined = graph.node(
        "Or",
        graph.node("Equal", shared, graph.constant(0.0)),
        graph.node("IsNaN", distances),
    )
    return graph.node("Where", undefined, graph.constant(np.inf), distances)
