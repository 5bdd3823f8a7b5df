"""Converters of linear models, and the output layer from scores to labels and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.functions import expit
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns, Graph


def softmax_scores(
    graph: Graph, scores: str, classes: int, *, tie_to_last: bool = False
) -> ClassifierOutput:
    """Return the outputs of a classifier by its raw scores, float64 [N, max(2, c)].

    Two classes come as the scores ``[0, s]``: their softmax is ``expit(s)``, and their arg max
    is ``s > 0`` (``s >= 0`` with ``tie_to_last``), so both need one node.
    """
    label = graph.node("ArgMax", scores, axis=1, keepdims=0, select_last_index=int(tie_to_last))
    probabilities = graph.node("Softmax", scores, axis=1)
    decision = graph.gather(scores, [1]) if classes == 2 else scores
    return ClassifierOutput(label, probabilities, decision)


def logistic_score(graph: Graph, score: str, precision: type = np.float64) -> ClassifierOutput:
    """Return the outputs of two classes by the second's score, float64 [N, 1], whose probability is its ``expit``.

    The label is the second class where that probability, computed in ``precision``, is above a half.
    """
    share = expit(graph, score)
    probabilities = graph.node(
        "Concat", graph.node("Sub", graph.constant(1.0), share), share, axis=1
    )
    second = graph.node("GreaterOrEqual", score, graph.constant(_first_above_half(precision)))
    label = graph.node("Squeeze", graph.node("Cast", second, to=7), graph.constant([1]))  # int64
    return ClassifierOutput(label, probabilities)


def _first_above_half(precision: Any) -> float:
    """Return the smallest score whose probability is above a half in this precision."""
    low, high, unit = precision(0.0), precision(1e-3), precision(1.0)
    while np.nextafter(low, high) < high:
        middle = low + (high - low) / precision(2.0)
        above = unit / (unit + np.exp(-middle)) > precision(0.5)
        low, high = (low, middle) if above else (middle, high)
    return float(high)


def linear_outputs(graph: Graph, scores: str, classes: int) -> ClassifierOutput:
    """Return the outputs of a linear classifier by ``linear_scores``; expit for two classes, else softmax."""
    label = graph.node("ArgMax", scores, axis=1, keepdims=0)
    if classes > 2:
        return ClassifierOutput(label, graph.node("Softmax", scores, axis=1), scores)
    return ClassifierOutput(label, graph.node("Sigmoid", scores), graph.gather(scores, [1]))


def linear_scores(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the decision function, float64 [N, c]; for two classes the first is the second's negative."""
    compiler.require_no_infinity(columns)
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    intercept = np.broadcast_to(intercept, (coef.shape[0],))
    if coef.shape[0] == 1:
        coef, intercept = np.vstack([-coef, coef]), np.concatenate([-intercept, intercept])
    return affine(compiler.graph, compiler.graph.numeric_tensor(columns, model), coef.T, intercept)


def affine(graph: Graph, name: str, weights: Array, intercept: Array) -> str:
    """Append ``name @ weights + intercept`` in float64."""
    constants = [graph.constant(np.asarray(a, np.float64)) for a in (weights, intercept)]
    return graph.node("Gemm", name, *constants)


def logistic_regression(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a logistic regression or a linear discriminant analysis."""
    scores = linear_scores(compiler, model, columns)
    return linear_outputs(compiler.graph, scores, len(model.classes_))


def sgd_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append an SGDClassifier; its loss decides how probabilities are computed, if at all."""
    graph, classes = compiler.graph, len(model.classes_)
    scores = linear_scores(compiler, model, columns)
    plain = linear_outputs(graph, scores, classes)
    if model.loss not in ("log_loss", "modified_huber"):
        return ClassifierOutput(plain.label, None, plain.decision)
    if model.loss == "log_loss" and classes == 2:
        return plain
    probabilities = _normalize(graph, _class_scores(graph, scores, model.loss), classes)
    return ClassifierOutput(plain.label, probabilities, plain.decision)


def _class_scores(graph: Graph, scores: str, loss: str) -> str:
    """Append each class's probability against the rest, float64 [N, c]."""
    if loss == "log_loss":
        return expit(graph, scores)
    unit = graph.constant(1.0)
    clipped = graph.node("Clip", scores, graph.constant(-1.0), unit)
    return graph.node("Div", graph.node("Add", clipped, unit), graph.constant(2.0))


def _normalize(graph: Graph, scores: str, classes: int) -> str:
    """Append probabilities that add up to 1 in each row, float64 [N, c]."""
    if classes == 2:
        second = graph.gather(scores, [1])
        first = graph.node("Sub", graph.constant(1.0), second)
        return graph.node("Concat", first, second, axis=1)
    total = graph.node("ReduceSum", scores, graph.constant([1]), keepdims=1)
    all_zero = graph.node("Equal", total, graph.constant(0.0))
    divided = graph.node("Div", scores, total)
    # Where every class has zero, scikit-learn returns the uniform distribution.
    return graph.node("Where", all_zero, graph.constant(1.0 / classes), divided)


def linear_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a linear classifier without probabilities, to be calibrated."""
    scores = linear_outputs(
        compiler.graph, linear_scores(compiler, model, columns), len(model.classes_)
    )
    return ClassifierOutput(scores.label, None, scores.decision)


def linear_regression(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a linear regression."""
    coef = np.atleast_2d(model.coef_)
    if coef.shape[0] != 1:
        raise UnsupportedError(f"{type(model).__name__}: several targets")
    compiler.require_no_infinity(columns)
    name = compiler.graph.numeric_tensor(columns, model)
    return affine(compiler.graph, name, coef.T, np.atleast_1d(model.intercept_))


def generalized_linear(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a Poisson, gamma or Tweedie regression."""
    value = linear_regression(compiler, model, columns)
    return inverse_link(compiler.graph, value, model._base_loss.link, model)  # noqa: SLF001 - it has no public name


def inverse_link(graph: Graph, value: str, link_function: Any, owner: Any) -> str:
    """Append the inverse of a loss's link function."""
    kind = type(link_function).__name__
    if kind == "IdentityLink":
        return value
    if kind == "LogLink":
        return graph.node("Exp", value)
    raise UnsupportedError(f"{type(owner).__name__}: the link {kind} is not converted")
