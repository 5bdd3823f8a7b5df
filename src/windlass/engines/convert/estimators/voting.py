"""Converters of ensembles of other estimators: bagging, AdaBoost, voting, stacking, one-vs-rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.linear import softmax_scores
from windlass.engines.convert.estimators.tree_ensemble import TreeEnsemble
from windlass.engines.convert.estimators.trees import (
    read_tree,
    record_tree_splits,
    reject_beyond_float32,
)
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.engines.convert.graph import Array, Columns

_TREES = ("DecisionTree", "ExtraTreeC", "ExtraTreeR")


def bagging_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append the mean of the members' probabilities, each on its own subset of columns."""
    if any(len(member.classes_) != model.n_classes_ for member in model.estimators_):
        raise UnsupportedError("BaggingClassifier: a member has not seen every class")
    probabilities = bagging_regressor(compiler, model, columns)
    return ClassifierOutput.from_probabilities(compiler.graph, probabilities)


def bagging_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the mean of the members' values, each on its own subset of columns."""
    members, feature_sets = model.estimators_, model.estimators_features_
    if all(type(member).__name__.startswith(_TREES) for member in members):
        values = [member.tree_.value[:, 0, :] for member in members]
        settled = _checked(compiler, members[0], columns, feature_sets)
        total = _sum_trees(compiler, model, settled, values, feature_sets)
        return compiler.graph.node("Div", total, compiler.graph.constant(float(len(members))))
    parts = []
    for member, features in zip(members, feature_sets, strict=True):
        output = _probabilities if hasattr(member, "classes_") else Compiler.regress
        parts.append(output(compiler, member, tuple(columns[i] for i in features)))
    return _average(compiler, parts, None)


def _checked(
    compiler: Compiler, member: Any, columns: Columns, feature_sets: Sequence[Any]
) -> Columns:
    """Reject the rows that the members reject: by the columns that one of them sees."""
    used = np.unique(np.concatenate(feature_sets)).tolist()
    settled = dict(
        zip(
            used,
            compiler.check(type(member).__name__, member, tuple(columns[i] for i in used)),
            strict=True,
        )
    )
    return tuple(settled.get(i, column) for i, column in enumerate(columns))


def ada_boost_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append AdaBoost (SAMME) over trees: each adds its weight to the class that it predicts."""
    graph, classes = compiler.graph, len(model.classes_)
    values = []
    for member, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        if not type(member).__name__.startswith(_TREES) or len(member.classes_) != classes:
            raise UnsupportedError(f"AdaBoostClassifier over {type(member).__name__}")
        votes = np.full((classes, classes), -1 / (classes - 1) * weight)
        np.fill_diagonal(votes, weight)
        values.append(votes[member.tree_.value[:, 0, :].argmax(axis=1)])
    total = _sum_trees(compiler, model, columns, values, [range(len(columns))] * len(values))
    decision = graph.node("Div", total, graph.constant(float(model.estimator_weights_.sum())))
    if classes == 2:
        halves = np.array([[0.5, -0.5], [-0.5, 0.5]])
        scores = graph.node("MatMul", decision, graph.constant(halves))
        output = softmax_scores(graph, scores, 2)
        double = graph.node("Mul", graph.gather(scores, [1]), graph.constant(2.0))
        return ClassifierOutput(output.label, output.probabilities, double)
    label = graph.node("ArgMax", decision, axis=1, keepdims=0)
    scaled = graph.node("Div", decision, graph.constant(float(classes - 1)))
    return ClassifierOutput(label, graph.node("Softmax", scaled, axis=1), decision)


def ada_boost_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append AdaBoost.R2: the weighted median of the members' values."""
    graph, members = compiler.graph, model.estimators_
    if all(type(member).__name__.startswith(_TREES) for member in members):
        values = _values_of_trees(compiler, model, columns)
    else:
        parts = [compiler.regress(member, columns) for member in members]
        values = graph.node("Concat", *parts, axis=1)
    size = len(members)
    ordered, order = graph.multi_output_node(
        "TopK", [values, graph.constant([size])], 2, axis=1, largest=0
    )
    weights = graph.node("Gather", graph.constant(model.estimator_weights_[:size]), order, axis=0)
    sums = graph.node("CumSum", weights, graph.constant(np.array(1)))
    half = graph.node("Mul", graph.gather(sums, [size - 1]), graph.constant(0.5))
    reached = graph.node("Cast", graph.node("GreaterOrEqual", sums, half), to=7)  # 7: int64
    median = graph.node("ArgMax", reached, axis=1)
    return graph.node("GatherElements", ordered, median, axis=1)


def _values_of_trees(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the value of each member, all trees, [N, members]."""
    ensemble = TreeEnsemble(len(model.estimators_))
    reject_beyond_float32(compiler, ensemble, columns)
    for number, member in enumerate(model.estimators_):
        ensemble.add(read_tree(member.tree_, member.tree_.value[:, 0, :]), number)
        record_tree_splits(compiler, columns, member.tree_)
    graph = compiler.graph
    values = ensemble.emit(graph, graph.numeric_tensor(columns, model))
    compiler.reject_non_finite(graph.gather(values, [ensemble.outputs - 1]))
    return values


def voting_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append soft voting."""
    if model.voting != "soft":
        raise UnsupportedError("VotingClassifier: voting='hard' gives no probabilities")
    parts = [_probabilities(compiler, member, columns) for member in model.estimators_]
    probabilities = _average(compiler, parts, _weights(model))
    return ClassifierOutput.from_probabilities(compiler.graph, probabilities)


def voting_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append the weighted mean of the members' values."""
    parts = [compiler.regress(member, columns) for member in model.estimators_]
    return _average(compiler, parts, _weights(model))


def one_vs_rest_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier for each class; the largest score decides, as probabilities saturate."""
    graph, members = compiler.graph, model.estimators_
    if model.multilabel_:
        raise UnsupportedError("OneVsRestClassifier: several labels")
    axis = graph.constant([1])
    outputs = [compiler.classify(member, columns) for member in members]
    if any(output.probabilities is None for output in outputs):
        raise UnsupportedError("OneVsRestClassifier: a member gives no probabilities")
    shares = [graph.gather(str(output.probabilities), [1]) for output in outputs]
    has_decision = hasattr(members[0], "decision_function")
    scores = [output.decision or "" for output in outputs] if has_decision else shares
    if "" in scores:
        raise UnsupportedError(f"OneVsRestClassifier over {type(members[0]).__name__}")
    if len(members) == 1:
        bound = graph.constant(0.0 if has_decision else 0.5)
        above = graph.node("Cast", graph.node("Greater", scores[0], bound), to=7)  # 7: int64
        label = graph.node("Squeeze", above, axis)
        shares.insert(0, graph.node("Sub", graph.constant(1.0), shares[0]))
        joined = scores[0]
    else:
        joined = graph.node("Concat", *scores, axis=1)
        label = graph.node("ArgMax", joined, axis=1, keepdims=0)
    values = graph.node("Concat", *shares, axis=1)
    total = graph.node("ReduceSum", values, axis, keepdims=1)
    # Where every class has zero, scikit-learn leaves the zeros.
    empty = graph.node("Equal", total, graph.constant(0.0))
    divisor = graph.node("Where", empty, graph.constant(1.0), total)
    probabilities = graph.node("Div", values, divisor)
    return ClassifierOutput(label, probabilities, joined if has_decision else None)


def one_vs_one_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier for each pair of classes; it has no probabilities, and is to be calibrated."""
    graph, classes = compiler.graph, len(model.classes_)
    if model.pairwise_indices_ is not None:
        raise UnsupportedError("OneVsOneClassifier over a precomputed kernel")
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    wins, sides = np.zeros((2 * len(pairs), classes)), np.zeros((len(pairs), classes))
    votes, confidences = [], []
    for k, ((i, j), member) in enumerate(zip(pairs, model.estimators_, strict=True)):
        output = compiler.classify(member, columns)
        score = output.decision
        if score is None and not hasattr(member, "decision_function"):
            score = output.probabilities and graph.gather(output.probabilities, [1])
        if score is None:
            raise UnsupportedError(f"OneVsOneClassifier over {type(member).__name__}")
        second = graph.node("Cast", output.label, to=11)  # 11: double
        votes.append(graph.node("Unsqueeze", second, graph.constant([1])))
        confidences.append(score)
        wins[k, j], wins[k, i], wins[len(pairs) + k, i] = 1.0, -1.0, 1.0
        sides[k, i], sides[k, j] = -1.0, 1.0
    joined = graph.node("Concat", *votes, axis=1)
    counts = graph.node("MatMul", joined, graph.constant(wins[: len(pairs)]))
    counts = graph.node("Add", counts, graph.constant(wins[len(pairs) :].sum(axis=0)))
    total = graph.node("MatMul", graph.node("Concat", *confidences, axis=1), graph.constant(sides))
    size = graph.node("Add", graph.node("Abs", total), graph.constant(1.0))
    squashed = graph.node("Div", total, graph.node("Mul", size, graph.constant(3.0)))
    decision = graph.node("Add", counts, squashed)
    if classes > 2:
        return ClassifierOutput(graph.node("ArgMax", decision, axis=1, keepdims=0), None, decision)
    second = graph.gather(decision, [1])
    above = graph.node(
        "Greater",
        second,
        graph.constant(0.0 if hasattr(model.estimators_[0], "decision_function") else 0.5),
    )
    label = graph.node("Squeeze", graph.node("Cast", above, to=7), graph.constant([1]))  # int64
    return ClassifierOutput(label, None, second)


def stacking_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a classifier over the members' predictions."""
    return compiler.classify(model.final_estimator_, _stacked(compiler, model, columns))


def stacking_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a regressor over the members' predictions."""
    return compiler.regress(model.final_estimator_, _stacked(compiler, model, columns))


def _stacked(compiler: Compiler, model: Any, columns: Columns) -> Columns:
    graph = compiler.graph
    result: Columns = ()
    for member, method in zip(model.estimators_, model.stack_method_, strict=True):
        if not hasattr(member, "classes_"):
            result += graph.tensor_columns(compiler.regress(member, columns), 1)
            continue
        scores = compiler.classify(member, columns)
        output = scores.probabilities if method == "predict_proba" else scores.decision
        if output is None or method == "predict":
            raise UnsupportedError(f"{type(model).__name__}: {method} of {type(member).__name__}")
        classes = len(member.classes_)
        width = classes if classes > 2 or method == "predict_proba" else 1
        # For two classes scikit-learn keeps the second probability only.
        result += graph.tensor_columns(output, width)[1 if width == 2 else 0 :]
    return result + columns if model.passthrough else result


def _sum_trees(
    compiler: Compiler,
    model: Any,
    columns: Columns,
    values: list[Array],
    feature_sets: Sequence[Any],
) -> str:
    """Append the sum of the members' trees with ``values`` at their nodes."""
    ensemble = TreeEnsemble(values[0].shape[1])
    reject_beyond_float32(compiler, ensemble, columns, np.unique(np.concatenate(feature_sets)))
    for member, value, features in zip(model.estimators_, values, feature_sets, strict=False):
        tree = read_tree(member.tree_, value)
        feature = np.asarray(features)[np.where(tree.leaf, 0, tree.feature)]
        ensemble.add(replace(tree, feature=feature))
        record_tree_splits(compiler, tuple(columns[i] for i in features), member.tree_)
    return ensemble.emit(compiler.graph, compiler.graph.numeric_tensor(columns, model))


def _probabilities(compiler: Compiler, member: Any, columns: Columns) -> str:
    scores = compiler.classify(member, columns)
    if scores.probabilities is None:
        raise UnsupportedError(f"{type(member).__name__}: it gives no probabilities")
    return scores.probabilities


def _average(compiler: Compiler, parts: list[str], weights: list[float] | None) -> str:
    """Append the weighted mean, added up in order and divided once."""
    graph = compiler.graph
    if weights is not None:
        parts = [
            graph.node("Mul", part, graph.constant(float(weight)))
            for part, weight in zip(parts, weights, strict=True)
        ]
    total = parts[0]
    for part in parts[1:]:
        total = graph.node("Add", total, part)
    size = float(len(parts) if weights is None else sum(weights))
    return graph.node("Div", total, graph.constant(size))


def _weights(model: Any) -> list[float] | None:
    """Return the weights of the members that were not dropped."""
    if model.weights is None:
        return None
    members = zip(model.estimators, model.weights, strict=True)
    return [weight for (_, member), weight in members if not isinstance(member, str)]
