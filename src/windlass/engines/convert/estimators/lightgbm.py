"""Converters of LightGBM: float64 rows, thresholds and sums, in the order of its trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.boosters import (
    EXPONENTIAL,
    IDENTITY,
    LOGISTIC,
    inverse,
    require_codes,
)
from windlass.engines.convert.estimators.linear import logistic_score, softmax_scores
from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.estimators.trees import record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns

_CATEGORICAL, _DEFAULT_LEFT = 1, 2  # bits of a decision type
_ZERO = float(np.float32(1e-35))
_MISSING_NONE, _MISSING_ZERO = 0, 1  # its two bits above them; 2 is NaN
_LINKS = {
    "cross_entropy": LOGISTIC,
    "fair": IDENTITY,
    "gamma": EXPONENTIAL,
    "huber": IDENTITY,
    "mape": IDENTITY,
    "poisson": EXPONENTIAL,
    "quantile": IDENTITY,
    "regression": IDENTITY,
    "regression_l1": IDENTITY,
    "tweedie": EXPONENTIAL,
}
Section = dict[str, str]


@dataclass(frozen=True)
class LightGBMModel:
    """What a booster's text holds: its objective with options, and its trees that count."""

    objective: list[str]
    outputs: int
    averaged: bool
    trees: list[Section]

    @classmethod
    def from_estimator(cls, model: Any) -> LightGBMModel:
        """Read a fitted estimator. Raises UnsupportedError for trees of linear models."""
        text = model.booster_.model_to_string(num_iteration=None)
        head, *sections = text.partition("end of trees")[0].split("\nTree=")
        header, trees = _section(head), [_section(section) for section in sections]
        if any(tree.get("is_linear") == "1" for tree in trees):
            raise UnsupportedError(f"{type(model).__name__}: linear trees are not converted")
        return cls(
            header.get("objective", "none").split(),
            int(header["num_tree_per_iteration"]),
            "average_output" in head.split("\n"),
            trees,
        )


def classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a LightGBM classifier."""
    read = LightGBMModel.from_estimator(model)
    name, *options = read.objective
    if name not in ("binary", "multiclass"):
        raise UnsupportedError(f"{type(model).__name__}: objective {name!r}")
    scores = _scores(compiler, model, read, columns)
    if name == "multiclass":
        output = softmax_scores(compiler.graph, scores, read.outputs)
        return ClassifierOutput(output.label, output.probabilities)
    if "sigmoid:1" not in options:
        raise UnsupportedError(f"{type(model).__name__}: {' '.join(options)} is not converted")
    return logistic_score(compiler.graph, scores)


def regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a LightGBM regressor."""
    read = LightGBMModel.from_estimator(model)
    name, *options = read.objective
    if name not in _LINKS or "sqrt" in options or read.outputs > 1:
        raise UnsupportedError(f"{type(model).__name__}: objective {' '.join(read.objective)!r}")
    return inverse(compiler.graph, _scores(compiler, model, read, columns), _LINKS[name])


def _scores(compiler: Compiler, model: Any, read: LightGBMModel, columns: Columns) -> str:
    """Append the sums of the trees, or their means, float64 [N, outputs]."""
    graph, ensemble = compiler.graph, TreeEnsemble(read.outputs)
    for number, section in enumerate(read.trees):
        tree = _read_tree(section, type(model).__name__)
        require_codes(
            type(model).__name__, columns, {int(tree.feature[node]) for node in tree.members}
        )
        ensemble.add(tree, number % read.outputs)
        numeric = ~tree.leaf
        numeric[list(tree.members)] = False
        record_splits(compiler, columns, tree.feature[numeric], tree.threshold[numeric])
    total = ensemble.emit(graph, graph.numeric_tensor(columns, model))
    if not read.averaged:
        return total
    return graph.node("Div", total, graph.constant(float(len(read.trees) // read.outputs)))


def _section(text: str) -> Section:
    pairs = (line.partition("=") for line in text.split("\n"))
    return {key: value for key, equals, value in pairs if equals}


def _read_tree(section: Section, name: str) -> Tree:
    """Return a tree; its leaves are numbered after its splits."""
    values = _numbers(section, "leaf_value", np.float64)
    splits = int(section["num_leaves"]) - 1
    children = [
        np.where(child < 0, splits + ~child, child)
        for child in (_numbers(section, key, np.int64) for key in ("left_child", "right_child"))
    ]
    kinds = _numbers(section, "decision_type", np.int64)
    threshold = _without_small(_numbers(section, "threshold", np.float64))
    missing = kinds >> 2 & 3
    categorical = kinds & _CATEGORICAL != 0
    if ((missing == _MISSING_ZERO) & ~categorical).any():
        raise UnsupportedError(f"{name}: zero_as_missing is not converted")
    default_left = kinds & _DEFAULT_LEFT != 0
    # Without missing values in training, NaN is a zero.
    left_if_missing = np.where(missing == _MISSING_NONE, threshold >= 0.0, default_left)
    bits, starts = (_numbers(section, key, np.int64) for key in ("cat_threshold", "cat_boundaries"))
    members = {
        int(node): _members(bits[starts[set_] : starts[set_ + 1]])
        for node, set_ in zip(
            np.flatnonzero(categorical), threshold[categorical].astype(int), strict=True
        )
    }
    padding = np.zeros(len(values))
    return Tree(
        feature=np.concatenate([_numbers(section, "split_feature", np.int64), padding.astype(int)]),
        threshold=np.concatenate([np.where(categorical, 0.0, threshold), padding]),
        left=np.concatenate([children[0], padding.astype(int)]),
        right=np.concatenate([children[1], padding.astype(int)]),
        leaf=np.arange(splits + len(values)) >= splits,
        missing_left=np.concatenate([left_if_missing & ~categorical, padding != 0]),
        value=np.concatenate([np.zeros(splits), values]).reshape(-1, 1),
        members=members,
    )


def _without_small(thresholds: Array) -> Array:
    """Return thresholds that compare a row as LightGBM does, which takes numbers up to ``±_ZERO`` for zero."""
    small = np.abs(thresholds) <= _ZERO
    below = np.where(small & (thresholds < 0), np.nextafter(-_ZERO, -np.inf), thresholds)
    return np.where(small & (thresholds >= 0), _ZERO, below)


def _numbers(section: Section, key: str, kind: type) -> Array:
    return np.array(
        section.get(key, "").split(), np.float64 if kind is np.float64 else object
    ).astype(kind)


def _members(words: Array) -> Array:
    """Return the codes whose bit is set in words of 32."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits)
