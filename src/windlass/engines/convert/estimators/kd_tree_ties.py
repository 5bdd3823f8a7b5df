"""The k smallest distances, with ties at the k-th decided as in scikit-learn's k-d tree search.

The search keeps the k nearest rows so far in a heap, and which of several equally far rows leaves
it depends on the order of visits. So where the k-th and the next distance are equal, the graph
walks through that order with the same heap; all other rows take the short way.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.graph import GraphValue
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Graph

_DOUBLE, _INT64 = 11, 7
_FIRST_VISITS = 32  # rows visited first, after which few others are near enough to matter


def k_smallest(
    graph: Graph, distances: str, parts: list[str], model: Any, power: int
) -> tuple[str, str]:
    """Append the search in ``distances`` [N, rows]; return the k smallest and their rows, [N, k].

    ``parts`` are the row's features, float64 [N, 1] each; ``power`` is 1 or 2, that of the metric.
    """
    nearest, rows = _k_smallest(graph, distances, parts, model, power)
    # An infinite distance never enters scikit-learn's heap, which begins with row 0 everywhere.
    reached = graph.node("Less", nearest, graph.constant(np.inf))
    return nearest, graph.node("Where", reached, rows, graph.constant(0))


def _k_smallest(
    graph: Graph, distances: str, parts: list[str], model: Any, power: int
) -> tuple[str, str]:
    """Append the search; of equal infinite distances it may return any row."""
    k, rows = int(model.n_neighbors), len(model._fit_X)  # noqa: SLF001 - it has no public name
    tree = model._tree  # noqa: SLF001 - it has no public name
    if k < rows and type(tree).__name__ != "KDTree":
        raise UnsupportedError(
            f"{type(model).__name__}: the order of equally near rows is known for algorithm='kd_tree' only"
        )
    if k >= rows:
        smallest = graph.multi_output_node(
            "TopK", [distances, graph.constant([k])], 2, axis=1, largest=0
        )
        return smallest[0], smallest[1]
    nearest, indices = graph.multi_output_node(
        "TopK", [distances, graph.constant([k + 1])], 2, axis=1, largest=0
    )
    gap = graph.node("Sub", graph.gather(nearest, [k]), graph.gather(nearest, [k - 1]))
    tied = graph.node("Equal", graph.node("ReduceMin", gap, keepdims=0), graph.constant(0.0))
    short, long = graph.subgraph(), graph.subgraph()
    plain = [short.gather(name, list(range(k))) for name in (nearest, indices)]
    order = _visit_order(long, parts, tree, power)
    searched = _heap_search(long, *_candidates(long, distances, order, k, rows), k)
    branches = [
        inner.body([], _values(names)) for inner, names in ((long, searched), (short, plain))
    ]
    smallest = graph.multi_output_node(
        "If", [tied], 2, then_branch=branches[0], else_branch=branches[1]
    )
    return smallest[0], smallest[1]


def _visit_order(graph: Graph, parts: list[str], tree: Any, power: int) -> str:
    """Append when each training row is visited, float64 [N, rows]; the nearer child goes first."""
    _, order, nodes, bounds = tree.get_arrays()
    leaf = np.asarray(nodes["is_leaf"]) != 0
    starts, sizes = nodes["idx_start"], nodes["idx_end"] - nodes["idx_start"]
    leaves, inner = np.flatnonzero(leaf), np.flatnonzero(~leaf)
    leaf_of, rank = np.zeros(len(order), np.int64), np.zeros(len(order))
    for number, node in enumerate(leaves.tolist()):
        inside = order[starts[node] : starts[node] + sizes[node]]
        leaf_of[inside], rank[inside] = number, np.arange(len(inside))
    if not len(inner):
        return graph.node(
            "Add",
            graph.node("Mul", parts[0], graph.constant(0.0)),
            graph.constant(rank.reshape(1, -1)),
        )
    left_first = _left_first(graph, parts, np.asarray(bounds), inner, power)
    weights, start = _leaf_starts(leaves, inner, sizes)
    begin = graph.node("Gemm", left_first, graph.constant(weights), graph.constant(start))
    return graph.node(
        "Add", graph.gather(begin, leaf_of.tolist()), graph.constant(rank.reshape(1, -1))
    )


def _leaf_starts(leaves: Array, inner: Array, sizes: Array) -> tuple[Array, Array]:
    """Return how many rows each leaf waits for: ``start + left_first @ weights``.

    A leaf waits for the siblings of its ancestors that are visited before them.
    """
    weights, start = np.zeros((len(inner), len(leaves))), np.zeros(len(leaves))
    row_of = {int(node): row for row, node in enumerate(inner)}
    for number, leaf in enumerate(leaves.tolist()):
        node = leaf
        while node:
            parent, is_left = (node - 1) // 2, node % 2 == 1
            sibling = float(sizes[node + 1 if is_left else node - 1])
            weights[row_of[parent], number] = -sibling if is_left else sibling
            start[number] += sibling if is_left else 0.0
            node = parent
    return weights, start


def _left_first(graph: Graph, parts: list[str], bounds: Array, inner: Array, power: int) -> str:
    """Append whether inner nodes visit their left child first, 0.0 or 1.0, [N, inner nodes]."""
    near = []
    for children in (2 * inner + 1, 2 * inner + 2):
        total = ""
        for feature, part in enumerate(parts):
            low, high = (graph.constant(bounds[side][children, feature]) for side in (0, 1))
            below, above = graph.node("Sub", low, part), graph.node("Sub", part, high)
            gap = graph.node("Max", below, above, graph.constant(0.0))
            term = graph.node("Mul", gap, gap) if power == 2 else gap
            total = graph.node("Add", total, term) if total else term
        near.append(total)
    return graph.node("Cast", graph.node("LessOrEqual", *near), to=_DOUBLE)


def _candidates(graph: Graph, distances: str, order: str, k: int, rows: int) -> tuple[str, str]:
    """Append the rows that can enter the heap in the order of visits: distances and rows.

    Both are [candidates, N, 1]. After the first visits only what is nearer than the k-th of
    those can enter; the rest gets an infinite distance, which never does.
    """
    infinite = graph.constant(np.inf)
    first = graph.node("Less", order, graph.constant(float(max(_FIRST_VISITS, k))))
    early = graph.node("Where", first, distances, infinite)
    best = graph.multi_output_node("TopK", [early, graph.constant([k])], 2, axis=1, largest=0)[0]
    near = graph.node("Less", distances, graph.gather(best, [k - 1]))
    chosen = graph.node("Or", first, near)
    late = graph.node("Where", chosen, order, graph.constant(float(rows)))
    counts = graph.node("Cast", chosen, to=_INT64)
    count = graph.node("ReduceSum", counts, graph.constant([1]), keepdims=0)
    max_count = graph.node(
        "Reshape", graph.node("ReduceMax", count, keepdims=0), graph.constant([1])
    )
    candidates = graph.multi_output_node("TopK", [late, max_count], 2, axis=1, largest=0)[1]
    open_ = graph.node("Where", chosen, distances, infinite)
    values = graph.node("GatherElements", open_, candidates, axis=1)
    last = graph.constant([2])
    values, candidates = (
        graph.node("Unsqueeze", graph.node("Transpose", name, perm=[1, 0]), last)
        for name in (values, candidates)
    )
    return values, candidates


def _heap_search(graph: Graph, values: str, candidates: str, k: int) -> list[str]:
    """Append the heap's pass over the candidates; return distances and rows, [N, k]."""
    # Twice the width, so that every heap position has two children; the padding never moves.
    empty = np.full(2 * k + 1, -np.inf)
    empty[:k] = np.inf
    zero = graph.constant([0])
    first = graph.node("Squeeze", graph.node("Gather", values, zero, axis=0), zero)
    shape = graph.node(
        "Concat", graph.node("Shape", first, end=1), graph.constant([2 * k + 1]), axis=0
    )
    heap = graph.node("Expand", graph.constant(empty), shape)
    rows = graph.node("Expand", zero, shape)
    states = graph.multi_output_node(
        "Scan",
        [heap, rows, values, candidates],
        2,
        body=_push(graph.subgraph(), k),
        num_scan_inputs=2,
    )
    return [graph.gather(name, list(range(k))) for name in states]


def _push(graph: Graph, k: int) -> Any:
    """Return the loop's body: ``heap_push`` of scikit-learn, for every row of the batch."""
    heap, rows, value, row = names = [graph.new_name() for _ in range(4)]
    accepted = graph.node("Less", value, graph.gather(heap, [0]))
    at, moving = graph.node("Mul", row, graph.constant(0)), accepted

    def put(target: str, condition: str, new: str) -> str:
        old = graph.node("GatherElements", target, at, axis=1)
        return graph.node(
            "ScatterElements", target, at, graph.node("Where", condition, new, old), axis=1
        )

    for _ in range(int(np.log2(k))):
        left = graph.node("Add", graph.node("Add", at, at), graph.constant(1))
        right = graph.node("Add", left, graph.constant(1))
        values = [graph.node("GatherElements", heap, side, axis=1) for side in (left, right)]
        child = graph.node("Where", graph.node("GreaterOrEqual", *values), left, right)
        largest = graph.node("Max", *values)
        moving = graph.node("And", moving, graph.node("Less", value, largest))
        moved = graph.node("GatherElements", rows, child, axis=1)
        heap, rows = put(heap, moving, largest), put(rows, moving, moved)
        at = graph.node("Where", moving, child, at)
    heap, rows = put(heap, accepted, value), put(rows, accepted, row)
    return graph.body(_values(names), _values([heap, rows]))


def _values(names: list[str]) -> list[GraphValue]:
    """Return distances and rows, by turns, as inputs or outputs of an inner graph."""
    kinds = itertools.cycle((_DOUBLE, _INT64))
    return [GraphValue(name, kind) for name, kind in zip(names, kinds, strict=False)]
