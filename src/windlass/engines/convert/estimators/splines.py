"""Converter of SplineTransformer: B-splines by de Boor's recursion, in SciPy's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.trees import record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns, Graph

_DOUBLE, _INT64 = 11, 7


@dataclass(frozen=True)
class _Splines:
    """The splines of all columns: ``knots`` [features, knots], of one ``degree``, ``count`` for each."""

    knots: Array
    degree: int
    count: int

    @property
    def intervals(self) -> int:
        """How many intervals between knots a column has."""
        return int(self.knots.shape[1]) - 2 * self.degree - 1

    @property
    def ends(self) -> tuple[Array, Array]:
        """The first and the last base knot of each column."""
        return self.knots[:, self.degree], self.knots[:, -self.degree - 1]


def spline_transformer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the values of all splines of each column."""
    fitted, graph = step.bsplines_, compiler.graph
    if step.extrapolation == "constant" and step.degree == 0:
        raise UnsupportedError("SplineTransformer: degree=0 with extrapolation='constant'")
    splines = _Splines(np.stack([s.t for s in fitted]), step.degree, fitted[0].c.shape[1])
    base = splines.knots[:, step.degree : step.degree + splines.intervals + 1]
    features = np.repeat(np.arange(len(base)), base.shape[1])
    record_splits(compiler, columns, features, base.ravel())
    rows = graph.numeric_tensor(columns, step)
    _reject(compiler, step, splines, rows)
    inside = _periodic(graph, splines, rows) if step.extrapolation == "periodic" else rows
    values = _spline_values(graph, splines, inside)
    if step.extrapolation in ("constant", "linear"):
        values = _extrapolated(graph, step, rows, values)
    missing = graph.node("IsNaN", graph.node("Unsqueeze", rows, graph.constant([2])))
    values = graph.node("Where", missing, graph.constant(0.0), values)
    width = len(columns) * splines.count
    flat = graph.node("Reshape", values, graph.constant([-1, width]))
    result = graph.tensor_columns(flat, width)
    if step.include_bias:
        return result
    return tuple(column for column in result if (column.index + 1) % splines.count)


def _reject(compiler: Compiler, step: Any, splines: _Splines, rows: str) -> None:
    """Reject what the options say: missing values, and values beyond the base knots."""
    graph = compiler.graph
    if step.handle_missing == "error":
        compiler.reject_non_finite(rows)
    if step.extrapolation == "error":
        first, last = (graph.constant(end) for end in splines.ends)
        outside = [graph.node("Less", rows, first), graph.node("Greater", rows, last)]
        compiler.reject(graph.node("Or", *outside))


def _periodic(graph: Graph, splines: _Splines, rows: str) -> str:
    """Append the rows moved by whole periods to the base knots; the sign is that of Python's modulo."""
    first, last = splines.ends
    period = last - first
    start = graph.constant(first)
    divisor = graph.constant(np.where(period > 0, period, 1.0))
    rest = graph.node("Mod", graph.node("Sub", rows, start), divisor, fmod=1)
    negative = graph.node("Less", rest, graph.constant(0.0))
    rest = graph.node("Where", negative, graph.node("Add", rest, divisor), rest)
    moved = graph.node("Add", start, rest)
    # A column that was constant has no period; scikit-learn takes 0.
    return graph.node("Where", graph.constant(period > 0), moved, graph.constant(0.0))


def _spline_values(graph: Graph, splines: _Splines, rows: str) -> str:
    """Append all splines' values, [N, features, splines], zero where a row is in none of their knots."""
    last = graph.constant([2])
    wide = graph.node("Unsqueeze", rows, last)
    interval = _interval(graph, splines, wide)
    weights = _de_boor(graph, splines, wide, interval)
    first = np.arange(splines.intervals).reshape(-1, 1)
    targets = (first + np.arange(splines.degree + 1)) % splines.count
    positions = graph.node("Gather", graph.constant(targets), interval, axis=0)
    # SciPy adds up products with zeros, so that one overflow makes all values of the column NaN.
    total = graph.node("ReduceSum", weights, last, keepdims=1)
    zeros = graph.node("Mul", total, graph.constant(np.zeros(splines.count)))
    return graph.node("ScatterElements", zeros, positions, weights, axis=2, reduction="add")


def _interval(graph: Graph, splines: _Splines, wide: str) -> str:
    """Append the number of the interval of each value, int64 [N, features]; the last one has no end."""
    degree, count = splines.degree, splines.intervals
    inner = splines.knots[:, degree + 1 : degree + count]
    # A single interval has the number 0, which nothing passes.
    bounds = graph.constant(inner if count > 1 else np.full((len(inner), 1), np.nan))
    passed = graph.node("GreaterOrEqual", wide, bounds)
    counts = graph.node("Cast", passed, to=_INT64)
    return graph.node("ReduceSum", counts, graph.constant([2]), keepdims=0)


def _de_boor(graph: Graph, splines: _Splines, wide: str, interval: str) -> str:
    """Append the values of the ``degree + 1`` splines that are not zero, [N, features, degree + 1]."""
    if splines.degree == 0:
        return graph.node("Cast", graph.node("Equal", wide, wide), to=_DOUBLE)
    features = len(splines.knots)
    row = interval
    if features > 1:
        row = graph.node("Add", interval, graph.constant(np.arange(features) * splines.intervals))
    table, sizes = _knots_by_interval(splines)
    entries = graph.node("Gather", graph.constant(table), row, axis=0)
    parts = graph.multi_output_node("Split", [entries, graph.constant(sizes)], len(sizes), axis=2)
    weights = graph.constant(np.ones((1, 1, 1)))
    for level in range(splines.degree):
        lower, upper, width = parts[3 * level : 3 * level + 3]
        share = graph.node("Div", weights, width)
        rising = graph.node("Mul", share, graph.node("Sub", wide, lower))
        falling = graph.node("Mul", share, graph.node("Sub", upper, wide))
        after, before = (graph.constant(pads) for pads in ([0] * 5 + [1], [0, 0, 1] + [0] * 3))
        weights = graph.node(
            "Add", graph.node("Pad", rising, before), graph.node("Pad", falling, after)
        )
    return weights


def _knots_by_interval(splines: _Splines) -> tuple[Array, list[int]]:
    """Return what each level of the recursion needs, a row for each interval, and the widths of the parts.

    The parts of level j are j lower knots, j upper knots, and the distances between them; no
    distance becomes infinity, as SciPy leaves such splines out.
    """
    degree, parts = splines.degree, []
    interval = degree + np.arange(splines.intervals).reshape(-1, 1)
    for level in range(1, degree + 1):
        upper = splines.knots[:, interval + np.arange(1, level + 1)]
        lower = splines.knots[:, interval + np.arange(1 - level, 1)]
        width = upper - lower
        parts += [lower, upper, np.where(width == 0, np.inf, width)]
    table = np.concatenate(parts, axis=2)
    return table.reshape(-1, table.shape[2]), [part.shape[2] for part in parts]


def _extrapolated(graph: Graph, step: Any, rows: str, values: str) -> str:
    """Append the values with those beyond both ends replaced: constant, or on a line."""
    wide = graph.node("Unsqueeze", rows, graph.constant([2]))
    for side, end in zip(("Less", "Greater"), _ends(step), strict=True):
        knots, value, slope = (graph.constant(part) for part in (end.knots, end.values, end.slopes))
        beyond = value
        if step.extrapolation == "linear":
            rise = graph.node("Mul", graph.node("Sub", wide, knots), slope)
            beyond = graph.node("Add", value, rise)
        values = graph.node("Where", graph.node(side, wide, knots), beyond, values)
    return values


@dataclass(frozen=True)
class _End:
    """An end of the fitted range: its knots [features, 1], and the splines' values and slopes there."""

    knots: Array
    values: Array
    slopes: Array

    @classmethod
    def of_zeros(cls, features: int, splines: int) -> _End:
        """Return an end whose numbers are to be filled in."""
        return cls(*(np.zeros((features, width)) for width in (1, splines, splines)))


def _ends(step: Any) -> tuple[_End, _End]:
    """Return both ends as ``SplineTransformer.transform`` of scikit-learn finds them.

    For a linear continuation it counts a degree of 0 or 1 up to 2 from column to column, so that
    later columns are continued from an inner knot.
    """
    fitted, degree = step.bsplines_, step.degree
    shape = len(fitted), fitted[0].c.shape[1]
    low, high = _End.of_zeros(*shape), _End.of_zeros(*shape)
    for row, spline in enumerate(fitted):
        low.knots[row], high.knots[row] = spline.t[degree], spline.t[-degree - 1]
        if low.knots[row] > high.knots[row]:
            raise UnsupportedError("SplineTransformer: too few knots for extrapolation='linear'")
        if step.extrapolation == "linear" and degree <= 1:
            degree += 1
        for end, part in ((low, slice(degree)), (high, slice(-degree, None))):
            end.values[row, part] = spline(end.knots[row, 0])[part]
            end.slopes[row, part] = spline(end.knots[row, 0], nu=1)[part]
    return low, high
