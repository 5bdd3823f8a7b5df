"""Converters of calibrated classifiers (sigmoid, isotonic) and of classifiers with a decision threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.functions import expit
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Columns, Graph


def calibrated_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append the mean over the calibrated classifiers."""
    graph, members = compiler.graph, model.calibrated_classifiers_
    probabilities = [_member(compiler, member, columns) for member in members]
    total = probabilities[0]
    for each in probabilities[1:]:
        total = graph.node("Add", total, each)
    if len(members) > 1:
        total = graph.node("Div", total, graph.constant(float(len(members))))
    return ClassifierOutput.from_probabilities(graph, total)


def _member(compiler: Compiler, member: Any, columns: Columns) -> str:
    """Append one classifier and its curves; float64 [N, c]."""
    if list(member.classes) != list(member.estimator.classes_):
        raise UnsupportedError("CalibratedClassifierCV: a fold has not seen every class")
    response = _response(compiler, member, columns)
    graph, classes = compiler.graph, len(member.classes)
    if member.method == "sigmoid":
        curve = _sigmoid(graph, response, member.calibrators)
    elif member.method == "isotonic":
        compiler.reject_non_finite(response)
        curve = _isotonic(graph, response, member.calibrators)
    else:
        raise UnsupportedError(f"CalibratedClassifierCV: method={member.method!r} is not converted")
    if classes == 2:
        return graph.node("Concat", graph.node("Sub", graph.constant(1.0), curve), curve, axis=1)
    total = graph.node("ReduceSum", curve, graph.constant([1]), keepdims=1)
    all_zero = graph.node("Equal", total, graph.constant(0.0))
    uniform = graph.constant(1.0 / classes)
    return graph.node("Where", all_zero, uniform, graph.node("Div", curve, total))


def _response(compiler: Compiler, member: Any, columns: Columns) -> str:
    """Append the scores to calibrate, float64 [N, 1] for two classes, [N, c] for more."""
    scores = compiler.classify(member.estimator, columns)
    if scores.decision is not None:
        return scores.decision
    if hasattr(member.estimator, "decision_function") or scores.probabilities is None:
        raise UnsupportedError(f"CalibratedClassifierCV over {type(member.estimator).__name__}")
    if len(member.classes) == 2:
        return compiler.graph.gather(scores.probabilities, [1])
    return scores.probabilities


def _sigmoid(graph: Graph, response: str, curves: list[Any]) -> str:
    """Append the sigmoid ``expit(-(a * response + b))`` of Platt (1999), for all classes at once."""
    slope = graph.constant(np.array([curve.a_ for curve in curves], np.float64))
    offset = graph.constant(np.array([curve.b_ for curve in curves], np.float64))
    line = graph.node("Add", graph.node("Mul", response, slope), offset)
    return expit(graph, graph.node("Neg", line))


def _isotonic(graph: Graph, response: str, curves: list[Any]) -> str:
    """Append the classes' step functions side by side."""
    curves_by_class = [
        interpolate(graph, response if len(curves) == 1 else graph.gather(response, [k]), curve)
        for k, curve in enumerate(curves)
    ]
    if len(curves) == 1:
        return curves_by_class[0]
    return graph.node("Concat", *curves_by_class, axis=1)


def interpolate(graph: Graph, value: str, curve: Any) -> str:
    """Append linear interpolation between the curve's points, constant beyond its ends."""
    x, y = np.asarray(curve.X_thresholds_), np.asarray(curve.y_thresholds_)
    low, high = graph.constant(float(x[0])), graph.constant(float(x[-1]))
    clipped = graph.node("Clip", value, low, high)
    passed = graph.node("GreaterOrEqual", clipped, graph.constant(x[1:].reshape(1, -1)))
    flags = graph.node("Cast", passed, to=7)  # 7: int64
    index = graph.node("ReduceSum", flags, graph.constant([1]), keepdims=1)
    slope = np.append(np.diff(y) / np.diff(x), 0.0)
    at_x, at_y, at_slope = (
        graph.node("Gather", graph.constant(a), index, axis=0) for a in (x, y, slope)
    )
    rise = graph.node("Mul", at_slope, graph.node("Sub", clipped, at_x))
    return graph.node("Add", rise, at_y)


def fixed_threshold(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier with a threshold that was set by hand."""
    inner = getattr(model, "estimator_", model.estimator)
    threshold = model.threshold
    if threshold == "auto":
        threshold = 0.5 if _is_probability_threshold(model, inner) else 0.0
    return _apply_threshold(compiler, model, inner, columns, threshold)


def tuned_threshold(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier with a threshold that was tuned on data."""
    return _apply_threshold(compiler, model, model.estimator_, columns, model.best_threshold_)


def _apply_threshold(
    compiler: Compiler, model: Any, inner: Any, columns: Columns, threshold: float
) -> ClassifierOutput:
    """Append the classifier, and the label by the threshold."""
    graph, positive = compiler.graph, _positive_class(model)
    scores = compiler.classify(inner, columns)
    on_probability = _is_probability_threshold(model, inner)
    source = scores.probabilities if on_probability else scores.decision
    if source is None:
        raise UnsupportedError(f"{type(model).__name__} over {type(inner).__name__}")
    if on_probability:
        source = graph.gather(source, [positive])
    elif positive == 0:
        source = graph.node("Neg", source)
    above = graph.node("GreaterOrEqual", source, graph.constant(float(threshold)))
    label = graph.node("Where", above, graph.constant(positive), graph.constant(1 - positive))
    flat = graph.node("Reshape", label, graph.constant([-1]))
    return ClassifierOutput(flat, scores.probabilities, scores.decision)


def _is_probability_threshold(model: Any, inner: Any) -> bool:
    """Whether the threshold applies to the probability, not to the decision function."""
    return model.response_method != "decision_function" and hasattr(inner, "predict_proba")


def _positive_class(model: Any) -> int:
    """Return the index of the positive class."""
    scorer = getattr(model, "_curve_scorer", None)
    label = model.pos_label if scorer is None else scorer._get_pos_label()  # noqa: SLF001 - it has no public name
    return 1 if label is None else model.classes_.tolist().index(label)
