"""libsvm's own class probabilities (``probability=True``): pairwise sigmoids, then an iteration.

Method 2 of Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by Pairwise
Coupling" (2004), step by step as libsvm's ``multiclass_probability`` computes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.graph import GraphValue

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Graph

_BOOL, _DOUBLE, _INT64 = 9, 11, 7
_SMALLEST = 1e-7  # of a pairwise probability


def coupled_probabilities(graph: Graph, pairs: str, model: Any) -> str:
    """Append the probabilities, float64 [N, c], from the pairs' decision values."""
    classes = len(model.classes_)
    quadratic, diagonal = _quadratic_form(graph, pairs, model)
    start = graph.node("Shape", pairs, end=1)
    shape = graph.node("Concat", start, graph.constant([classes]), axis=0)
    shares = graph.node("Expand", graph.constant(1.0 / classes), shape)
    column = graph.node("Concat", start, graph.constant([1]), axis=0)
    active = graph.node("Expand", graph.constant(np.array(True)), column)
    limit, true = graph.constant(np.array(max(100, classes))), graph.constant(np.array(True))
    body = _sweep(graph.subgraph(), quadratic, diagonal, classes)
    return graph.multi_output_node("Loop", [limit, true, shares, active], 2, body=body)[0]


def _quadratic_form(graph: Graph, pairs: str, model: Any) -> tuple[str, str]:
    """Append Q, float64 [N, c, c], and its diagonal, [N, c]."""
    classes = len(model.classes_)
    line = graph.node("Mul", pairs, graph.constant(model._probA))  # noqa: SLF001 - it has no public name
    line = graph.node("Add", line, graph.constant(model._probB))  # noqa: SLF001 - it has no public name
    odds = graph.node("Sigmoid", graph.node("Neg", line))
    bounds = [graph.constant(bound) for bound in (_SMALLEST, 1 - _SMALLEST)]
    clipped = graph.node("Clip", odds, *bounds)
    # libsvm's comparisons make the lower bound of NaN
    first = graph.node("Where", graph.node("IsNaN", line), bounds[0], clipped)
    second = graph.node("Sub", graph.constant(1.0), first)
    count = classes * (classes - 1) // 2
    # One more column of zeros for the diagonal of the matrix r[i][j] of pairwise probabilities.
    positions = np.full((classes, classes), 2 * count)
    upper = np.triu_indices(classes, 1)
    positions[upper] = np.arange(count)
    positions.T[upper] = np.arange(count) + count
    zero = graph.node("Mul", graph.gather(first, [0]), graph.constant(0.0))
    both = graph.node("Concat", first, second, zero, axis=1)
    matrix, turned = (
        graph.node("Gather", both, graph.constant(index), axis=1)
        for index in (positions, positions.T)
    )
    squares = graph.node("Mul", matrix, matrix)
    diagonal = graph.node("ReduceSum", squares, graph.constant([1]), keepdims=0)
    wide = graph.node("Unsqueeze", diagonal, graph.constant([2]))
    on_diagonal = graph.node("Mul", wide, graph.constant(np.eye(classes)))
    product = graph.node("Mul", matrix, turned)
    return graph.node("Sub", on_diagonal, product), diagonal


def _sweep(graph: Graph, quadratic: str, diagonal: str, classes: int) -> Any:
    """Return the loop's body: one pass over the classes, for rows that have not converged."""
    step, going, old, was_active = (graph.new_name() for _ in range(4))
    last, identity = graph.constant([2]), graph.constant(1.0)
    spread = graph.node("Unsqueeze", old, graph.constant([1]))
    qp = graph.node("ReduceSum", graph.node("Mul", quadratic, spread), last, keepdims=0)
    pqp = graph.node("ReduceSum", graph.node("Mul", old, qp), graph.constant([1]), keepdims=1)
    error = graph.node("Abs", graph.node("Sub", qp, pqp))
    worst = graph.node("ReduceMax", error, graph.constant([1]), keepdims=1)
    open_ = graph.node("GreaterOrEqual", worst, graph.constant(0.005 / classes))
    active = graph.node("And", was_active, open_)
    shares = old
    for t in range(classes):
        own, q = graph.gather(diagonal, [t]), graph.gather(qp, [t])
        row = graph.node("Gather", quadratic, graph.constant(np.array(t)), axis=1)
        change = graph.node("Div", graph.node("Sub", pqp, q), own)
        scale = graph.node("Add", identity, change)
        unit = graph.constant(np.eye(classes)[t].reshape(1, -1))
        moved = graph.node("Add", shares, graph.node("Mul", change, unit))
        shares = graph.node("Div", moved, scale)
        slope = graph.node("Add", graph.node("Mul", change, own), graph.node("Add", q, q))
        raised = graph.node("Add", pqp, graph.node("Mul", change, slope))
        pqp = graph.node("Div", graph.node("Div", raised, scale), scale)
        qp = graph.node("Div", graph.node("Add", qp, graph.node("Mul", change, row)), scale)
    new = graph.node("Where", active, shares, old)
    some = graph.node("ReduceMax", graph.node("Cast", active, to=_INT64), keepdims=0)
    go_on = graph.node("Cast", some, to=_BOOL)
    loop = [GraphValue(step, _INT64, scalar=True), GraphValue(going, _BOOL, scalar=True)]
    before = [GraphValue(old, _DOUBLE), GraphValue(was_active, _BOOL)]
    after = [GraphValue(new, _DOUBLE), GraphValue(active, _BOOL)]
    return graph.body([*loop, *before], [GraphValue(go_on, _BOOL, scalar=True), *after])
