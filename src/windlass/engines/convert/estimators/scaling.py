"""Scalers and other arithmetic by column, in float64 and in scikit-learn's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.graph import Array, Columns, Graph, ValueOrigin

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler


def standard_scaler(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append ``(x - mean) / scale``; both roundings are scikit-learn's."""
    shift = step.mean_ if step.with_mean else None
    scale = step.scale_ if step.with_std else None
    return _shift_and_divide(compiler.graph, step, columns, shift=shift, scale=scale)


def robust_scaler(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append ``(x - center) / scale``."""
    shift = step.center_ if step.with_centering else None
    scale = step.scale_ if step.with_scaling else None
    return _shift_and_divide(compiler.graph, step, columns, shift=shift, scale=scale)


def max_abs_scaler(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append ``x / scale``, clipped where the scaler clips."""
    graph = compiler.graph
    scaled = _shift_and_divide(graph, step, columns, shift=None, scale=step.scale_)
    if not getattr(step, "clip", False):
        return scaled
    return _clip(graph, scaled, (-1.0, 1.0))


def min_max_scaler(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append ``x * scale + min``, clipped where the scaler clips."""
    graph = compiler.graph
    product = graph.node("Mul", graph.numeric_tensor(columns, step), graph.constant(step.scale_))
    total = graph.node("Add", product, graph.constant(step.min_))
    slope = 1.0 / np.asarray(step.scale_)
    origins = _origins(columns, slope, -np.asarray(step.min_) * slope)
    scaled = graph.tensor_columns(total, len(columns), origins)
    return _clip(graph, scaled, step.feature_range) if step.clip else scaled


def _shift_and_divide(
    graph: Graph, step: Any, columns: Columns, *, shift: Array | None, scale: Array | None
) -> Columns:
    if shift is None and scale is None:
        return columns
    name = graph.numeric_tensor(columns, step)
    if shift is not None:
        name = graph.node("Sub", name, graph.constant(shift))
    if scale is not None:
        name = graph.node("Div", name, graph.constant(scale))
    width = len(columns)
    slope = np.ones(width) if scale is None else np.asarray(scale)
    origins = _origins(columns, slope, np.zeros(width) if shift is None else np.asarray(shift))
    return graph.tensor_columns(name, width, origins)


def _origins(columns: Columns, slope: Array, shift: Array) -> list[ValueOrigin | None]:
    """Return origins after a step that ``value * slope + shift`` undoes."""
    return [
        c.origin
        and ValueOrigin(c.origin.index, c.origin.slope * a, c.origin.slope * b + c.origin.shift)
        for c, a, b in zip(columns, slope.tolist(), shift.tolist(), strict=True)
    ]


def _clip(graph: Graph, columns: Columns, bounds: tuple[float, float]) -> Columns:
    low, high = (graph.constant(float(bound)) for bound in bounds)
    clipped = graph.node("Clip", graph.concatenate(columns), low, high)
    return graph.tensor_columns(clipped, len(columns), [c.origin for c in columns])


def pca(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the projection on the principal components, whitened if the PCA is."""
    graph = compiler.graph
    weights = step.components_.T
    name = graph.node("MatMul", graph.numeric_tensor(columns, step), graph.constant(weights))
    offset = step.mean_.reshape(1, -1) @ weights
    name = graph.node("Sub", name, graph.constant(offset))
    if step.whiten:
        scale = np.sqrt(step.explained_variance_)
        smallest = np.finfo(scale.dtype).eps
        name = graph.node("Div", name, graph.constant(np.maximum(scale, smallest)))
    return graph.tensor_columns(name, weights.shape[1])


def linear_discriminants(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the projection on the axes of a linear discriminant analysis."""
    graph, axes = compiler.graph, np.asarray(step.scalings_)
    name = graph.numeric_tensor(columns, step)
    if step.solver == "svd":
        name = graph.node("Sub", name, graph.constant(step.xbar_))
    count = min(step._max_components, axes.shape[1])  # noqa: SLF001 - it has no public name
    name = graph.node("MatMul", name, graph.constant(axes[:, :count]))
    return graph.tensor_columns(name, count)


def normalizer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append each row divided by its norm; a row whose norm is about zero stays as it is."""
    graph = compiler.graph
    rows = graph.numeric_tensor(columns, step)
    compiler.reject_non_finite(rows)
    axis = graph.constant([1])
    if step.norm == "l2":
        norms = graph.node("Sqrt", graph.node("ReduceSumSquare", rows, axis, keepdims=1))
    else:
        total = "ReduceSum" if step.norm == "l1" else "ReduceMax"
        norms = graph.node(total, graph.node("Abs", rows), axis, keepdims=1)
    tiny = graph.node("Less", norms, graph.constant(10 * float(np.finfo(np.float64).eps)))
    divisors = graph.node("Where", tiny, graph.constant(1.0), norms)
    return graph.tensor_columns(graph.node("Div", rows, divisors), len(columns))
