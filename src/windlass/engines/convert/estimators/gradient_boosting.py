"""Gradient boosting and histogram gradient boosting: initial scores plus scaled trees, added in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.linear import inverse_link, softmax_scores
from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.estimators.trees import (
    read_tree,
    record_splits,
    record_tree_splits,
    reject_beyond_float32,
)
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import ClassifierOutput, Compiler
    from windlass.engines.convert.graph import Array, Columns


def boosting_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a gradient boosting classifier; in a tie of two classes the second wins."""
    if model.loss != "log_loss":
        raise UnsupportedError(f"{type(model).__name__}: loss={model.loss!r} is not converted")
    binary = model.n_trees_per_iteration_ == 1
    scores = _add_trees(compiler, model, columns, first=1 if binary else 0)
    return softmax_scores(compiler.graph, scores, len(model.classes_), tie_to_last=binary)


def boosting_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a gradient boosting regressor."""
    return _add_trees(compiler, model, columns, first=0)


def _add_trees(compiler: Compiler, model: Any, columns: Columns, *, first: int) -> str:
    """Append the raw scores, float64 [N, first + trees per iteration]."""
    ensemble = TreeEnsemble(first + model.n_trees_per_iteration_)
    ensemble.add_constant(_initial_scores(model), first)
    reject_beyond_float32(compiler, ensemble, columns)
    for iteration in model.estimators_:
        for k, member in enumerate(iteration):
            tree = member.tree_
            ensemble.add(read_tree(tree, model.learning_rate * tree.value[:, 0, :]), first + k)
            record_tree_splits(compiler, columns, tree)
    return ensemble.emit(compiler.graph, compiler.graph.numeric_tensor(columns, model))


def _initial_scores(model: Any) -> Any:
    """Return the raw scores before the first tree, float64 [trees per iteration]."""
    start = model.init_
    if not isinstance(start, str) and not type(start).__name__.startswith("Dummy"):
        raise UnsupportedError(
            f"{type(model).__name__}: init={type(start).__name__} is not converted"
        )
    return model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]  # noqa: SLF001 - it has no public name


def histogram_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a histogram gradient boosting classifier; in a tie the first class wins."""
    binary = model.n_trees_per_iteration_ == 1
    scores = _add_histogram_trees(compiler, model, columns, first=1 if binary else 0)
    return softmax_scores(compiler.graph, scores, len(model.classes_))


def histogram_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a histogram gradient boosting regressor."""
    value = _add_histogram_trees(compiler, model, columns, first=0)
    return inverse_link(compiler.graph, value, model._loss.link, model)  # noqa: SLF001 - it has no public name


def _add_histogram_trees(compiler: Compiler, model: Any, columns: Columns, *, first: int) -> str:
    """Append the raw scores, float64 [N, first + trees per iteration]."""
    if model._preprocessor is not None:  # noqa: SLF001 - it has no public name
        columns = compiler.transform(model._preprocessor, columns)  # noqa: SLF001 - it has no public name
    ensemble = TreeEnsemble(first + model.n_trees_per_iteration_)
    ensemble.add_constant(np.ravel(model._baseline_prediction), first)  # noqa: SLF001 - it has no public name
    for iteration in model._predictors:  # noqa: SLF001 - it has no public name
        for k, predictor in enumerate(iteration):
            nodes = predictor.nodes
            ensemble.add(_read_predictor(predictor), first + k)
            inner = (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
            inner &= np.isfinite(nodes["num_threshold"])
            thresholds = nodes["num_threshold"][inner]
            record_splits(compiler, columns, nodes["feature_idx"][inner], thresholds)
    return ensemble.emit(compiler.graph, compiler.graph.numeric_tensor(columns, model))


def _read_predictor(predictor: Any) -> Tree:
    """Return a predictor's tree; it compares float64 rows, so thresholds stay as they are."""
    nodes = predictor.nodes
    sets = {
        int(node): _categories(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
        for node in np.flatnonzero((nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0))
    }
    # A split of missing values from all categories has no member: no code is below zero.
    empty = [node for node, members in sets.items() if not len(members)]
    threshold = nodes["num_threshold"].copy()
    threshold[empty] = -1.0
    return Tree(
        feature=nodes["feature_idx"],
        threshold=threshold,
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        leaf=nodes["is_leaf"] != 0,
        missing_left=nodes["missing_go_to_left"],
        value=nodes["value"].reshape(-1, 1),
        members={node: members for node, members in sets.items() if len(members)},
    )


def _categories(bitset: Array) -> Array:
    """Return the codes whose bit is set in eight words of 32."""
    bits = np.unpackbits(bitset.astype("<u4").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits)
