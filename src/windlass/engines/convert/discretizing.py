"""Converters of steps that compare numbers with thresholds: Binarizer and KBinsDiscretizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.trees import record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

_DOUBLE = 11


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
