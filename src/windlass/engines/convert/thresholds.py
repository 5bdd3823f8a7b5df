"""Classifiers of two classes that answer the positive one from a threshold of its score on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.engines.convert.compiler import Compiler, Scores
from windlass.engines.convert.contract import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Columns


def fixed_threshold(compiler: Compiler, model: Any, columns: Columns) -> Scores:
    """Append a classifier and the threshold that was set for it."""
    inner = getattr(model, "estimator_", model.estimator)
    threshold = model.threshold
    if threshold == "auto":
        threshold = 0.5 if _by_share(model, inner) else 0.0
    return _decided(compiler, model, inner, columns, threshold)


def tuned_threshold(compiler: Compiler, model: Any, columns: Columns) -> Scores:
    """Append a classifier and the threshold that was found for it."""
    return _decided(compiler, model, model.estimator_, columns, model.best_threshold_)


def _decided(
    compiler: Compiler, model: Any, inner: Any, columns: Columns, threshold: float
) -> Scores:
    """The classifier's own scores, with the label that the threshold decides."""
    graph, positive = compiler.graph, _positive(model)
    scores = compiler.classify(inner, columns)
    by_share = _by_share(model, inner)
    source = scores.probabilities if by_share else scores.decision
    if source is None:
        raise UnsupportedError(f"{type(model).__name__} over {type(inner).__name__}")
    if by_share:
        source = graph.pick(source, [positive])
    elif positive == 0:
        source = graph.node("Neg", source)
    above = graph.node("GreaterOrEqual", source, graph.constant(float(threshold)))
    label = graph.node("Where", above, graph.constant(positive), graph.constant(1 - positive))
    flat = graph.node("Reshape", label, graph.constant([-1]))
    return Scores(flat, scores.probabilities, scores.decision)


def _by_share(model: Any, inner: Any) -> bool:
    """Whether the threshold is one of probability."""
    return model.response_method != "decision_function" and hasattr(inner, "predict_proba")


def _positive(model: Any) -> int:
    """The index of the positive class."""
    scorer = getattr(model, "_curve_scorer", None)
    label = model.pos_label if scorer is None else scorer._get_pos_label()  # noqa: SLF001 - it has no public name
    return 1 if label is None else model.classes_.tolist().index(label)
