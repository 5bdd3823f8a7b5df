"""Converters of XGBoost: float32 rows, thresholds and sums, in the order of its trees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.boosters import (
    EXPONENTIAL,
    IDENTITY,
    LOGISTIC,
    as_float32,
    as_float64,
    inverse,
    next_below,
    require_codes,
)
from windlass.engines.convert.estimators.linear import logistic_score, softmax_scores
from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.estimators.trees import record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns

_LINKS = {
    "binary:logistic": LOGISTIC,
    "count:poisson": EXPONENTIAL,
    "reg:absoluteerror": IDENTITY,
    "reg:gamma": EXPONENTIAL,
    "reg:logistic": LOGISTIC,
    "reg:pseudohubererror": IDENTITY,
    "reg:quantileerror": IDENTITY,
    "reg:squarederror": IDENTITY,
    "reg:squaredlogerror": IDENTITY,
    "reg:tweedie": EXPONENTIAL,
}


@dataclass(frozen=True)
class XGBoostModel:
    """What a booster's JSON holds: its trees that count, the output of each, and the initial scores by output."""

    objective: str
    trees: list[dict[str, Any]]
    outputs: list[int]
    base: Array

    @classmethod
    def from_estimator(cls, model: Any) -> XGBoostModel:
        """Read a fitted estimator. Raises UnsupportedError for what has no trees of single values."""
        name = type(model).__name__
        learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
        booster, objective = learner["gradient_booster"], learner["objective"]["name"]
        if booster["name"] != "gbtree":
            raise UnsupportedError(f"{name}: booster={booster['name']!r} is not converted")
        if not np.isnan(model.missing):
            raise UnsupportedError(f"{name}: missing={model.missing} is not converted")
        trees = booster["model"]
        count = trees["iteration_indptr"][_iterations(model, len(trees["iteration_indptr"]) - 1)]
        base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32)
        outputs = max(1, int(learner["learner_model_param"]["num_class"]))
        if any(tree["tree_param"]["size_leaf_vector"] not in ("0", "1") for tree in trees["trees"]):
            raise UnsupportedError(f"{name}: leaves with several values are not converted")
        return cls(
            objective,
            trees["trees"][:count],
            trees["tree_info"][:count],
            np.broadcast_to(_margin(np.atleast_1d(base), objective), (outputs,)),
        )


def classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append an XGBoost classifier."""
    read = XGBoostModel.from_estimator(model)
    if read.objective not in ("binary:logistic", "multi:softprob"):
        raise UnsupportedError(f"{type(model).__name__}: objective {read.objective!r}")
    margins = _margins(compiler, model, read, columns)
    if len(read.base) == 1:
        return logistic_score(compiler.graph, margins, np.float32)
    output = softmax_scores(compiler.graph, margins, len(read.base))
    return ClassifierOutput(output.label, output.probabilities)


def regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append an XGBoost regressor."""
    read = XGBoostModel.from_estimator(model)
    link_function = _LINKS.get(read.objective)
    if link_function is None or len(read.base) > 1 or set(read.outputs) - {0}:
        raise UnsupportedError(f"{type(model).__name__}: objective {read.objective!r}")
    return inverse(compiler.graph, _margins(compiler, model, read, columns), link_function)


def _iterations(model: Any, fitted: int) -> int:
    """Return how many iterations count: those up to the best, where it stopped early."""
    try:
        return min(int(model.best_iteration) + 1, fitted)
    except AttributeError:
        return fitted


def _margin(base: Array, objective: str) -> Array:
    """Return the initial scores for the stored ones, which are on the scale of the predictions."""
    link_function = _LINKS.get(objective, IDENTITY)
    unit = np.float32(1.0)
    if link_function == LOGISTIC:
        return -np.log(unit / base - unit)
    return np.log(base) if link_function == EXPONENTIAL else base


def _margins(compiler: Compiler, model: Any, read: XGBoostModel, columns: Columns) -> str:
    """Append the sums of the initial scores and the trees, float64 [N, outputs] of float32 numbers."""
    graph, ensemble = compiler.graph, TreeEnsemble(len(read.base))
    ensemble.add_constant(read.base)
    for tree, output in zip(read.trees, read.outputs, strict=True):
        parsed = _read_tree(tree)
        require_codes(
            type(model).__name__, columns, {int(parsed.feature[node]) for node in parsed.members}
        )
        ensemble.add(parsed, output)
        numeric = ~parsed.leaf
        numeric[list(parsed.members)] = False
        record_splits(compiler, columns, parsed.feature[numeric], parsed.threshold[numeric])
    rows = as_float32(graph, graph.numeric_tensor(columns, model))
    return as_float64(graph, ensemble.emit(graph, rows, np.float32))


def _read_tree(tree: dict[str, Any]) -> Tree:
    """Return a tree of the JSON; its leaves hold their value where others have their threshold.

    Categories that are listed go to the right.
    """
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], np.float32)
    leaf = left == -1
    parts = zip(
        tree["categories_nodes"],
        tree["categories_segments"],
        tree["categories_sizes"],
        strict=True,
    )
    members = {
        node: np.array(tree["categories"][start : start + size], np.float64)
        for node, start, size in parts
    }
    categorical = np.zeros(len(leaf), np.bool_)
    categorical[list(members)] = True
    default_left = np.array(tree["default_left"], np.bool_)
    return Tree(
        feature=np.where(leaf, 0, np.array(tree["split_indices"])),
        threshold=np.where(leaf | categorical, 0.0, next_below(conditions).astype(np.float64)),
        left=np.where(categorical, right, left),
        right=np.where(categorical, left, right),
        leaf=leaf,
        missing_left=np.where(categorical, ~default_left, default_left),
        value=np.where(leaf, conditions, 0.0).astype(np.float64).reshape(-1, 1),
        members=members,
    )
