"""Gradient boosting on scikit-learn's trees: an initial value and scaled trees, added in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.linear import softmax_scores
from windlass.engines.convert.tree_ensemble import TreeEnsemble
from windlass.engines.convert.trees import read_tree, record_tree_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import ClassifierOutput, Compiler
    from windlass.engines.convert.graph import Columns


def boosting_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a gradient boosting classifier; in a tie of two classes the second wins."""
    if model.loss != "log_loss":
        raise UnsupportedError(f"{type(model).__name__}: loss={model.loss!r} is not converted")
    binary = model.n_trees_per_iteration_ == 1
    scores = _raw(compiler, model, columns, first=1 if binary else 0)
    return softmax_scores(compiler.graph, scores, len(model.classes_), tie_to_last=binary)


def boosting_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a gradient boosting regressor."""
    return _raw(compiler, model, columns, first=0)


def _raw(compiler: Compiler, model: Any, columns: Columns, *, first: int) -> str:
    """Append the raw scores, float64 [N, first + trees per iteration]."""
    ensemble = TreeEnsemble(first + model.n_trees_per_iteration_)
    ensemble.add_constant(_initial(model), first)
    for iteration in model.estimators_:
        for k, member in enumerate(iteration):
            tree = member.tree_
            ensemble.add(read_tree(tree, model.learning_rate * tree.value[:, 0, :]), first + k)
            record_tree_splits(compiler, columns, tree)
    return ensemble.emit(compiler.graph, compiler.graph.numbers(columns, model))


def _initial(model: Any) -> Any:
    """Return the raw score before any tree, float64 [trees per iteration]."""
    start = model.init_
    if not isinstance(start, str) and not type(start).__name__.startswith("Dummy"):
        raise UnsupportedError(
            f"{type(model).__name__}: init={type(start).__name__} is not converted"
        )
    return model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]  # noqa: SLF001 - it has no public name
