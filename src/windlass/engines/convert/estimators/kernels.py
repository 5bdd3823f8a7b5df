"""Converters of estimators over a kernel between rows and training rows: ridge, PCA, Nystroem, Gaussian processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.distances import squared_distances
from windlass.engines.convert.estimators.neighbors import check_size
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns, Graph


def kernel_ridge(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a kernel ridge regression of one target."""
    weights = np.asarray(model.dual_coef_, np.float64).reshape(len(model.X_fit_), -1)
    if weights.shape[1] != 1:
        raise UnsupportedError(f"{type(model).__name__}: several targets")
    kernel = _pairwise_kernel(compiler, model, columns, model.X_fit_)
    return compiler.graph.node("MatMul", kernel, compiler.graph.constant(weights))


def nystroem(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the kernel with a sample of the training rows, normalised."""
    graph = compiler.graph
    kernel = _pairwise_kernel(compiler, step, columns, step.components_)
    weights = np.asarray(step.normalization_, np.float64).T
    return graph.tensor_columns(
        graph.node("MatMul", kernel, graph.constant(weights)), weights.shape[1]
    )


def kernel_pca(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the projection on the components of a kernel PCA."""
    graph, centerer = compiler.graph, step._centerer  # noqa: SLF001 - it has no public name
    kernel = _pairwise_kernel(compiler, step, columns, step.X_fit_)
    size = graph.constant(float(len(centerer.K_fit_rows_)))
    total = graph.node("ReduceSum", kernel, graph.constant([1]), keepdims=1)
    centered = graph.node("Sub", kernel, graph.constant(centerer.K_fit_rows_))
    centered = graph.node("Sub", centered, graph.node("Div", total, size))
    centered = graph.node("Add", centered, graph.constant(float(centerer.K_fit_all_)))
    vectors = np.zeros_like(step.eigenvectors_)
    used = np.flatnonzero(step.eigenvalues_)
    vectors[:, used] = step.eigenvectors_[:, used] / np.sqrt(step.eigenvalues_[used])
    projected = graph.node("MatMul", centered, graph.constant(vectors))
    return graph.tensor_columns(projected, vectors.shape[1])


def label_propagation(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append label propagation or spreading by a Gaussian kernel: far from all training rows there is no answer."""
    if model.kernel != "rbf":
        raise UnsupportedError(f"{type(model).__name__}: kernel={model.kernel!r} is not converted")
    graph = compiler.graph
    kernel = _pairwise_kernel(compiler, model, columns, model.X_)
    weights = graph.node("MatMul", kernel, graph.constant(model.label_distributions_))
    total = graph.node("ReduceSum", weights, graph.constant([1]), keepdims=1)
    return ClassifierOutput.from_probabilities(graph, graph.node("Div", weights, total))


def gaussian_process(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the mean of a Gaussian process regression of one target."""
    alpha = np.asarray(model.alpha_, np.float64).reshape(len(model.X_train_), -1)
    if alpha.shape[1] != 1:
        raise UnsupportedError(f"{type(model).__name__}: several targets")
    graph = compiler.graph
    check_size(model, model.X_train_)
    rows = graph.numeric_tensor(columns, model)
    kernel = _process_kernel(graph, rows, np.asarray(model.X_train_, np.float64), model.kernel_)
    value = graph.node("MatMul", kernel, graph.constant(alpha))
    scaled = graph.node("Mul", value, graph.constant(np.ravel(model._y_train_std)))  # noqa: SLF001 - it has no public name
    return graph.node("Add", scaled, graph.constant(np.ravel(model._y_train_mean)))  # noqa: SLF001 - it has no public name


def _process_kernel(graph: Graph, rows: str, points: Array, kernel: Any) -> str:
    """Append a kernel of a Gaussian process, float64 [N, m], or [1, 1] where it is constant."""
    kind = type(kernel).__name__
    if kind in ("Sum", "Product"):
        parts = [_process_kernel(graph, rows, points, each) for each in (kernel.k1, kernel.k2)]
        return graph.node("Add" if kind == "Sum" else "Mul", *parts)
    if kind == "ConstantKernel":
        return graph.constant(np.full((1, len(points)), float(kernel.constant_value)))
    if kind == "WhiteKernel":  # noise counts between training rows only
        return graph.constant(np.zeros((1, len(points))))
    if kind == "RBF":
        scale = np.asarray(kernel.length_scale, np.float64)
        scaled = graph.node("Div", rows, graph.constant(scale))
        distances = _exact_distances(graph, scaled, points / scale)
        return graph.node("Exp", graph.node("Mul", distances, graph.constant(-0.5)))
    raise UnsupportedError(f"GaussianProcess: the kernel {kind} is not converted")


def _pairwise_kernel(compiler: Compiler, owner: Any, columns: Columns, points: Any) -> str:
    """Append a kernel of ``sklearn.metrics.pairwise`` between rows and points [m, k], float64 [N, m]."""
    graph = compiler.graph
    if not isinstance(points, np.ndarray):
        raise UnsupportedError(f"{type(owner).__name__}: a sparse matrix reaches it")
    check_size(owner, points)
    rows, points = graph.numeric_tensor(columns, owner), np.asarray(points, np.float64)
    kind = owner.kernel
    gamma = getattr(owner, "gamma_", owner.gamma)
    gamma = 1.0 / points.shape[1] if gamma is None else float(gamma)
    if kind == "rbf":
        distances = squared_distances(graph, rows, points)
        return graph.node("Exp", graph.node("Mul", distances, graph.constant(-gamma)))
    product = graph.node("MatMul", rows, graph.constant(points.T))
    if kind == "linear":
        return product
    if kind not in ("poly", "polynomial", "sigmoid"):
        raise UnsupportedError(f"{type(owner).__name__}: kernel={kind!r} is not converted")
    constant = 1.0 if owner.coef0 is None else float(owner.coef0)
    scaled = graph.node("Mul", product, graph.constant(np.array([gamma])))
    shifted = graph.node("Add", scaled, graph.constant(np.array([constant])))
    if kind == "sigmoid":
        return graph.node("Tanh", shifted)
    degree = 3.0 if owner.degree is None else float(owner.degree)
    return graph.node("Pow", shifted, graph.constant(degree))


def _exact_distances(graph: Graph, rows: str, points: Array) -> str:
    """Append squared distances as SciPy's ``cdist`` computes them: differences first, [N, m]."""
    apart = graph.node(
        "Sub", graph.node("Unsqueeze", rows, graph.constant([1])), graph.constant(points)
    )
    squares = graph.node("Mul", apart, apart)
    return graph.node("ReduceSum", squares, graph.constant([2]), keepdims=0)
