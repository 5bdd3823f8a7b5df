"""Converters of steps that compare numbers with thresholds: Binarizer, KBinsDiscretizer, QuantileTransformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from windlass.engines.convert.estimators.functions import normal_quantile
from windlass.engines.convert.estimators.trees import record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

_DOUBLE, _INT64 = 11, 7
# BOUNDS_THRESHOLD of scikit-learn: of a share, and of a value beside the ends
_END_OF_NORMAL = 1e-7
_MAX_QUANTILES = 20_000  # of all columns; every value is compared with those of its column


def binarizer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append ``x > threshold`` as 0.0 and 1.0."""
    graph, width = compiler.graph, len(columns)
    record_splits(compiler, columns, np.arange(width), np.full(width, float(step.threshold)))
    rows = graph.numeric_tensor(columns, step)
    compiler.reject_non_finite(rows)
    flags = binarized(graph, rows, step.threshold)
    return graph.tensor_columns(flags, width)


def binarized(graph: Graph, rows: str, threshold: float) -> str:
    """Append ``rows > threshold`` as float64."""
    above = graph.node("Greater", rows, graph.constant(float(threshold)))
    return graph.node("Cast", above, to=_DOUBLE)


def k_bins_discretizer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the number of each column's bin; a value at an edge is in the bin above it."""
    if step.dtype == np.float32:
        raise UnsupportedError("KBinsDiscretizer: dtype=float32 is not converted")
    graph, edges = compiler.graph, [np.asarray(e, np.float64)[1:-1] for e in step.bin_edges_]
    rows = graph.numeric_tensor(columns, step)
    compiler.reject_non_finite(rows)
    features = np.repeat(np.arange(len(edges)), [len(e) for e in edges])
    record_splits(compiler, columns, features, np.concatenate(edges))
    table = np.full((len(edges), max(1, *(len(e) for e in edges))), np.inf)
    for row, values in zip(table, edges, strict=True):
        row[: len(values)] = values
    last = graph.constant([2])
    passed = graph.node(
        "GreaterOrEqual", graph.node("Unsqueeze", rows, last), graph.constant(table)
    )
    flags = graph.node("Cast", passed, to=_DOUBLE)
    bins = graph.node("ReduceSum", flags, last, keepdims=0)
    if step.encode == "ordinal":
        return graph.tensor_columns(bins, len(columns))
    return graph.tensor_columns(*_one_hot(graph, bins, np.asarray(step.n_bins_)))


def _one_hot(graph: Graph, bins: str, counts: Array) -> tuple[str, int]:
    """Append a flag for each bin of each column; return the tensor and its width."""
    numbers = np.concatenate([np.arange(count) for count in counts])
    repeated = graph.gather(bins, np.repeat(np.arange(len(counts)), counts).tolist())
    hits = graph.node("Equal", repeated, graph.constant(numbers.astype(np.float64)))
    return graph.node("Cast", hits, to=_DOUBLE), len(numbers)


def quantile_transformer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append each value's share of smaller training values, or its normal quantile; of equal ones the middle."""
    quantiles = np.asarray(step.quantiles_, np.float64).T
    if not 1 < quantiles.shape[1] <= quantiles.size <= _MAX_QUANTILES:
        raise UnsupportedError(f"QuantileTransformer: {quantiles.size} quantiles are not converted")
    graph, shares = compiler.graph, np.asarray(step.references_, np.float64)
    rows = graph.numeric_tensor(columns, step)
    compiler.reject(graph.node("IsInf", rows))
    upper = _interpolated(graph, rows, quantiles, shares)
    lower = _interpolated(graph, graph.node("Neg", rows), -quantiles[:, ::-1], -shares[::-1])
    values = graph.node("Mul", graph.node("Sub", upper, lower), graph.constant(0.5))
    normal = step.output_distribution == "normal"
    margin = _END_OF_NORMAL if normal else 0.0  # which scikit-learn adds to the value
    above, below = (
        graph.node("Add", rows, graph.constant(side)) if normal else rows
        for side in (margin, -margin)
    )
    last, first = graph.constant(quantiles[:, -1]), graph.constant(quantiles[:, 0])
    beyond = graph.node("Greater" if normal else "GreaterOrEqual", above, last)
    values = graph.node("Where", beyond, graph.constant(1.0), values)
    before = graph.node("Less" if normal else "LessOrEqual", below, first)
    values = graph.node("Where", before, graph.constant(0.0), values)
    if normal:
        values = _normal(graph, values)
    return graph.tensor_columns(values, len(columns))


def _normal(graph: Graph, shares: str) -> str:
    """Append the normal quantiles of shares, both clipped as scikit-learn clips them."""
    smallest = _END_OF_NORMAL - np.spacing(1)
    inside = graph.node("Max", shares, graph.constant(smallest / 2))
    inside = graph.node("Min", inside, graph.constant(1.0 - smallest / 2))
    ends = [graph.constant(float(ndtri(share))) for share in (smallest, 1 - smallest)]
    return graph.node("Min", graph.node("Max", normal_quantile(graph, inside), ends[0]), ends[1])


def _interpolated(graph: Graph, rows: str, points: Array, values: Array) -> str:
    """Append ``numpy.interp`` of each column on its ``points`` [features, points], [N, features]."""
    features, count = points.shape
    ends = [graph.constant(points[:, end]) for end in (0, -1)]
    clipped = graph.node("Min", graph.node("Max", rows, ends[0]), ends[1])
    last = graph.constant([2])
    wide = graph.node("Unsqueeze", clipped, last)
    passed = graph.node("GreaterOrEqual", wide, graph.constant(points[:, 1:]))
    position = graph.node("ReduceSum", graph.node("Cast", passed, to=_INT64), last, keepdims=0)
    offsets = graph.constant(np.arange(features) * count)
    steps, rises = np.diff(points, axis=1), np.diff(values)
    slopes = np.zeros_like(points)
    np.divide(rises, steps, out=slopes[:, :-1], where=steps > 0)
    table = np.stack([points, np.broadcast_to(values, points.shape), slopes], axis=2)
    row = graph.node("Add", position, offsets)
    entries = graph.node("Gather", graph.constant(table.reshape(-1, 3)), row, axis=0)
    start, value, slope = (
        graph.node("Gather", entries, graph.constant(np.array(k)), axis=2) for k in range(3)
    )
    rise = graph.node("Mul", slope, graph.node("Sub", clipped, start))
    return graph.node("Add", rise, value)
