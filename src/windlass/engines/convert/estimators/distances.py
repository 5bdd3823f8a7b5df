"""Euclidean distances as ``sklearn.metrics.pairwise`` computes them, to the last bit.

Its formula ``|x|^2 - 2xy + |y|^2`` cancels where two points are close. Only the same operations in
the same order give the same distance there, and the same nearest point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

_LANES = 2  # float64 values in a register of NumPy's baseline, by which ``row_norms`` adds up
_UNROLLED = 4  # registers that one turn of its loop adds, the last of them first


def cluster_distances(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the distances to the centers of a k-means clustering, as its ``transform`` does."""
    graph, centers = compiler.graph, np.asarray(step.cluster_centers_, np.float64)
    rows = graph.numeric_tensor(columns, step)
    distances = graph.node("Sqrt", squared_distances(graph, rows, centers))
    return graph.tensor_columns(distances, len(centers))


def subcluster_distances(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the distances to the centers of a Birch clustering's subclusters."""
    graph, centers = compiler.graph, np.asarray(step.subcluster_centers_, np.float64)
    distances = squared_distances(graph, graph.numeric_tensor(columns, step), centers)
    return graph.tensor_columns(graph.node("Sqrt", distances), len(centers))


def squared_distances(graph: Graph, rows: str, points: Array) -> str:
    """Append the squared distances between ``rows`` [N, k] and ``points`` [m, k], [N, m]."""
    products = graph.node("MatMul", rows, graph.constant(-2.0 * points.T))
    with_rows = graph.node("Add", products, _squared_norms(graph, rows, points.shape[1]))
    norms = np.einsum("ij,ij->i", points, points)
    distances = graph.node("Add", with_rows, graph.constant(norms))
    return graph.node("Max", distances, graph.constant(0.0))


def _squared_norms(graph: Graph, rows: str, width: int) -> str:
    """Append the sums of squares, [N, 1], added up in two lanes as ``numpy.einsum`` does."""
    squares = graph.node("Mul", rows, rows)
    axis = graph.constant([1])
    if width <= _LANES:
        return graph.node("ReduceSum", squares, axis, keepdims=1)
    order = _order_of_sums(width)
    if order != list(range(width)):
        squares = graph.gather(squares, order)
    if width % _LANES:
        squares = graph.node("Pad", squares, graph.constant([0, 0, 0, 1]))
    pairs = graph.node("Reshape", squares, graph.constant([0, -1, _LANES]))
    lanes = graph.node("ReduceSum", pairs, axis, keepdims=0)
    return graph.node("ReduceSum", lanes, axis, keepdims=1)


def _order_of_sums(width: int) -> list[int]:
    """Return the order in which the columns enter the two lanes, by turns."""
    turn = _LANES * _UNROLLED
    whole = width - width % turn
    order = np.arange(whole).reshape(-1, _UNROLLED, _LANES)[:, ::-1].ravel()
    return [*order.tolist(), *range(whole, width)]
