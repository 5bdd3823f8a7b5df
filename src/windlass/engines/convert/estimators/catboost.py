"""Converters of CatBoost without categories: float32 rows and borders, float64 sums, in the order of its trees."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.boosters import EXPONENTIAL, IDENTITY, inverse
from windlass.engines.convert.estimators.linear import logistic_score, softmax_scores
from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.estimators.trees import float64_thresholds, record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns

_MAX_NODES = 4_000_000  # of all trees: one of depth 16 has 130,000
_LINKS = {
    "Expectile": IDENTITY,
    "Huber": IDENTITY,
    "LogCosh": IDENTITY,
    "LogLinQuantile": EXPONENTIAL,
    "Lq": IDENTITY,
    "MAE": IDENTITY,
    "MAPE": IDENTITY,
    "Poisson": EXPONENTIAL,
    "Quantile": IDENTITY,
    "RMSE": IDENTITY,
    "Tweedie": EXPONENTIAL,
}


@dataclass(frozen=True)
class CatBoostModel:
    """What a model's JSON holds: the trees, scale and biases, and by feature its column and the side of NaN."""

    loss: str
    trees: list[dict[str, Any]]
    scale: float
    bias: Array
    column: dict[int, int]
    missing_left: dict[int, bool]

    @classmethod
    def from_estimator(cls, model: Any) -> CatBoostModel:
        """Read a fitted estimator. Raises UnsupportedError for features that are no numbers, and other trees."""
        name = type(model).__name__
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.json"
            model.save_model(str(file), format="json")
            read = json.loads(file.read_text(encoding="utf-8"))
        features = read["features_info"]
        if any(features.get(f"{kind}_features") for kind in ("categorical", "text", "embedding")):
            raise UnsupportedError(f"{name}: its statistics of categories are not converted")
        if "oblivious_trees" not in read:
            raise UnsupportedError(f"{name}: grow_policy={model.get_params().get('grow_policy')!r}")
        trees = read["oblivious_trees"]
        if sum(2 ** len(tree["splits"] or ()) for tree in trees) > _MAX_NODES:
            raise UnsupportedError(f"{name}: its trees are too large")
        scale, bias = read["scale_and_bias"]
        numbers = features.get("float_features") or []
        return cls(
            read["model_info"]["params"]["loss_function"]["type"],
            trees,
            float(scale),
            np.atleast_1d(np.asarray(bias, np.float64)),
            {each["feature_index"]: each["flat_feature_index"] for each in numbers},
            {each["feature_index"]: each["nan_value_treatment"] != "AsTrue" for each in numbers},
        )


def classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a CatBoost classifier."""
    read = CatBoostModel.from_estimator(model)
    scores = _scores(compiler, model, read, columns)
    if read.loss in ("Logloss", "CrossEntropy"):
        return logistic_score(compiler.graph, scores)
    if read.loss != "MultiClass":
        raise UnsupportedError(f"{type(model).__name__}: loss_function={read.loss!r}")
    output = softmax_scores(compiler.graph, scores, len(model.classes_))
    return ClassifierOutput(output.label, output.probabilities)


def regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a CatBoost regressor."""
    read = CatBoostModel.from_estimator(model)
    if read.loss not in _LINKS or len(read.bias) > 1:
        raise UnsupportedError(f"{type(model).__name__}: loss_function={read.loss!r}")
    return inverse(compiler.graph, _scores(compiler, model, read, columns), _LINKS[read.loss])


def _scores(compiler: Compiler, model: Any, read: CatBoostModel, columns: Columns) -> str:
    """Append ``scale * sum of the trees + bias``, float64 [N, outputs]."""
    graph = compiler.graph
    outputs = _outputs(model, read)
    ensemble = TreeEnsemble(outputs)
    for tree in read.trees:
        parsed = _read_tree(tree, read, outputs)
        ensemble.add(parsed)
        inner = ~parsed.leaf
        record_splits(compiler, columns, parsed.feature[inner], parsed.threshold[inner])
    total = ensemble.emit(graph, graph.numeric_tensor(columns, model))
    if read.scale != 1.0:
        total = graph.node("Mul", total, graph.constant(read.scale))
    return graph.node("Add", total, graph.constant(read.bias)) if read.bias.any() else total


def _outputs(model: Any, read: CatBoostModel) -> int:
    return len(model.classes_) if read.loss == "MultiClass" else max(1, len(read.bias))


def _read_tree(tree: dict[str, Any], read: CatBoostModel, outputs: int) -> Tree:
    """Return an oblivious tree, whose last split is the root: its bit of a leaf's number is the highest."""
    splits = (tree["splits"] or [])[::-1]
    values = np.array(tree["leaf_values"], np.float64).reshape(-1, outputs)
    inner = len(values) - 1
    level = np.floor(np.log2(np.arange(1, inner + 1))).astype(np.int64)
    features = np.array([split["float_feature_index"] for split in splits], np.int64)
    borders = np.array([split["border"] for split in splits], np.float64)
    column = np.array([read.column[feature] for feature in features.tolist()], np.int64)
    missing_left = np.array([read.missing_left[f] for f in features.tolist()], np.bool_)
    node, end = np.arange(inner), np.zeros(len(values))
    thresholds = float64_thresholds(borders.astype(np.float32).astype(np.float64))
    return Tree(
        feature=np.concatenate([column[level], end.astype(np.int64)]),
        threshold=np.concatenate([thresholds[level], end]),
        left=np.concatenate([2 * node + 1, end.astype(np.int64)]),
        right=np.concatenate([2 * node + 2, end.astype(np.int64)]),
        leaf=np.arange(inner + len(values)) >= inner,
        missing_left=np.concatenate([missing_left[level], end != 0]),
        value=np.concatenate([np.zeros((inner, outputs)), values]),
    )
