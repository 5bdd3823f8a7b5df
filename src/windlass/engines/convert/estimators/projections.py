"""Converters of transformers that multiply by a matrix: decompositions, random projections, latent variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.functions import expit
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Array, Columns


def components(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the projection on a step's components, from its mean where it has one."""
    if getattr(step, "whiten", None) is False:  # of FastICA, which then centers nothing
        return _project(compiler, step, columns, step.components_.T)
    return _project(compiler, step, columns, step.components_.T, getattr(step, "mean_", None))


def factor_analysis(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the expected latent variables of a factor analysis (Barber 2012, 21.2.33)."""
    weighted = step.components_ / step.noise_variance_
    covariance = np.linalg.inv(np.eye(len(weighted)) + weighted @ step.components_.T)
    return _project(compiler, step, columns, weighted.T @ covariance, step.mean_)


def partial_least_squares(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the scores of the rows in a partial least squares or canonical correlation analysis."""
    rotations = getattr(step, "x_rotations_", None)
    weights = step.x_weights_ if rotations is None else rotations
    return _project(compiler, step, columns, weights, step._x_mean, step._x_std)  # noqa: SLF001 - they have no public names


def partial_least_squares_regression(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the prediction of a partial least squares regression of one target."""
    if len(model.coef_) != 1:
        raise UnsupportedError(f"{type(model).__name__}: several targets")
    graph = compiler.graph
    projected = _project(compiler, model, columns, model.coef_.T, model._x_mean)  # noqa: SLF001 - it has no public name
    intercept = graph.constant(np.asarray(model.intercept_, np.float64))
    return graph.node("Add", graph.concatenate(projected), intercept)


def boltzmann_machine(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the probabilities of the hidden units of a restricted Boltzmann machine."""
    graph = compiler.graph
    projected = graph.concatenate(_project(compiler, step, columns, step.components_.T))
    activation = graph.node("Add", projected, graph.constant(step.intercept_hidden_))
    return graph.tensor_columns(expit(graph, activation), len(step.components_))


def random_fourier(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append random features of the Gaussian kernel (Rahimi and Recht 2007)."""
    return _cosines(compiler, step, compiler.graph.numeric_tensor(columns, step))


def skewed_chi2(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append random features of the skewed chi-squared kernel; rows below its skewedness are rejected."""
    graph = compiler.graph
    rows = graph.numeric_tensor(columns, step)
    compiler.reject(graph.node("LessOrEqual", rows, graph.constant(-float(step.skewedness))))
    shifted = graph.node("Add", rows, graph.constant(float(step.skewedness)))
    return _cosines(compiler, step, graph.node("Log", shifted))


def additive_chi2(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the sampled features of the additive chi-squared kernel; negative numbers are rejected."""
    graph, interval = compiler.graph, step.sample_interval
    if interval is None:
        interval = {1: 0.8, 2: 0.5, 3: 0.4}[step.sample_steps]
    rows = graph.numeric_tensor(columns, step)
    zero = graph.constant(0.0)
    compiler.reject(graph.node("Less", rows, zero))
    positive = graph.node("Greater", rows, zero)
    safe = graph.node("Where", positive, rows, graph.constant(1.0))
    parts = [graph.node("Sqrt", graph.node("Mul", safe, graph.constant(float(interval))))]
    logarithm = graph.node("Mul", graph.node("Log", safe), graph.constant(float(interval)))
    doubled = graph.node("Mul", safe, graph.constant(2.0 * interval))
    for turn in range(1, step.sample_steps):
        divisor = graph.constant(float(np.cosh(np.pi * turn * interval)))
        factor = graph.node("Sqrt", graph.node("Div", doubled, divisor))
        angle = graph.node("Mul", logarithm, graph.constant(float(turn)))
        parts += [graph.node("Mul", factor, graph.node(op, angle)) for op in ("Cos", "Sin")]
    parts = [graph.node("Where", positive, part, zero) for part in parts]
    joined = graph.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    return graph.tensor_columns(joined, len(columns) * len(parts))


def feature_agglomeration(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the mean of each cluster of columns."""
    if step.pooling_func is not np.mean:
        raise UnsupportedError(f"{type(step).__name__}: a pooling_func other than the mean")
    members = np.eye(step.n_clusters_ if hasattr(step, "n_clusters_") else step.n_clusters)
    weights = members[step.labels_]
    return _project(compiler, step, columns, weights / weights.sum(axis=0))


def _cosines(compiler: Compiler, step: Any, rows: str) -> Columns:
    graph, count = compiler.graph, step.random_weights_.shape[1]
    projected = graph.node("MatMul", rows, graph.constant(step.random_weights_))
    angles = graph.node("Add", projected, graph.constant(step.random_offset_))
    scale = graph.constant(float(np.sqrt(2.0) / np.sqrt(count)))
    return graph.tensor_columns(graph.node("Mul", graph.node("Cos", angles), scale), count)


def _project(
    compiler: Compiler,
    step: Any,
    columns: Columns,
    weights: Any,
    shift: Array | None = None,
    scale: Array | None = None,
) -> Columns:
    """Append ``(x - shift) / scale @ weights``."""
    graph = compiler.graph
    dense = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float64)
    name = graph.numeric_tensor(columns, step)
    if shift is not None:
        name = graph.node("Sub", name, graph.constant(np.asarray(shift, np.float64)))
    if scale is not None:
        name = graph.node("Div", name, graph.constant(np.asarray(scale, np.float64)))
    return graph.tensor_columns(graph.node("MatMul", name, graph.constant(dense)), dense.shape[1])
