"""Converters of dummy estimators, nearest centroids, isotonic regression and missing indicators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.calibration import interpolate
from windlass.engines.convert.estimators.distances import squared_distances
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Columns


def dummy_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append the same probabilities and the same label for every row."""
    if model.strategy not in ("prior", "most_frequent", "constant") or model.n_outputs_ != 1:
        raise UnsupportedError(f"DummyClassifier: strategy={model.strategy!r} draws at random")
    graph = compiler.graph
    shares = np.ravel(model.predict_proba(np.zeros((1, 1))))
    label = model.classes_.tolist().index(model.predict(np.zeros((1, 1))).tolist()[0])
    rows = graph.node("Shape", graph.concatenate(columns[:1]), end=1)
    shape = graph.node("Concat", rows, graph.constant([len(shares)]), axis=0)
    probabilities = graph.node("Expand", graph.constant(shares), shape)
    return ClassifierOutput(
        graph.node("Expand", graph.constant(np.array([label])), rows), probabilities
    )


def dummy_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the same value for every row."""
    value = np.ravel(model.constant_)
    if len(value) != 1:
        raise UnsupportedError("DummyRegressor: several targets")
    graph = compiler.graph
    return graph.full(float(value[0]), graph.concatenate(columns[:1]))


def nearest_centroid(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append discriminant scores by the distance to the class means."""
    if model.metric != "euclidean":
        raise UnsupportedError(f"NearestCentroid: metric={model.metric!r} is not converted")
    graph, axis = compiler.graph, compiler.graph.constant([2])
    rows = graph.numeric_tensor(columns, model)
    scale = np.asarray(model.within_class_std_dev_, np.float64).copy()
    scale[scale == 0] = 1.0
    scaled = graph.node(
        "Unsqueeze", graph.node("Div", rows, graph.constant(scale)), graph.constant([1])
    )
    gaps = graph.node("Sub", scaled, graph.constant(model.centroids_ / scale))
    distances = graph.node("ReduceSum", graph.node("Mul", gaps, gaps), axis, keepdims=0)
    priors = graph.constant(2.0 * np.log(model.class_prior_))
    scores = graph.node("Add", graph.node("Neg", distances), priors)
    label = graph.node("ArgMax", scores, axis=1, keepdims=0)
    if np.isclose(
        model.class_prior_, 1 / len(model.classes_)
    ).all():  # then the distance decides, not scaled
        nearest = squared_distances(graph, rows, np.asarray(model.centroids_, np.float64))
        label = graph.node("ArgMin", nearest, axis=1, keepdims=0)
    decision = scores
    if len(model.classes_) == 2:
        decision = graph.node("Sub", graph.gather(scores, [1]), graph.gather(scores, [0]))
    return ClassifierOutput(label, graph.node("Softmax", scores, axis=1), decision)


def isotonic_regression(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append linear interpolation between the fitted points; `out_of_bounds` says what is beyond them."""
    graph, points = compiler.graph, model.X_thresholds_
    value = graph.numeric_tensor(columns, model)
    if model.out_of_bounds != "clip":  # raised, or NaN, which is no prediction either
        outside = [
            graph.node(op, value, graph.constant(float(end)))
            for op, end in (("Less", points[0]), ("Greater", points[-1]))
        ]
        compiler.reject(graph.node("Or", *outside))
    if len(points) == 1:
        return graph.full(float(model.y_thresholds_[0]), value)
    return interpolate(graph, value, model)


def missing_indicator(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append 1 where a column is missing and 0 elsewhere, for the columns that were missing in training."""
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise UnsupportedError("MissingIndicator: missing_values other than NaN")
    graph = compiler.graph
    chosen = tuple(columns[i] for i in step.features_)
    if step.features == "missing-only" and step.error_on_new:
        fixed = [c for i, c in enumerate(columns) if i not in set(step.features_.tolist())]
        if fixed:
            compiler.reject(graph.node("IsNaN", graph.numeric_tensor(tuple(fixed), step)))
    flags = graph.node("IsNaN", graph.numeric_tensor(chosen, step))
    return graph.tensor_columns(graph.node("Cast", flags, to=11), len(chosen))  # 11: double
