"""Converters of anomaly detectors to scores: the higher, the more unusual a row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import known_name
from windlass.engines.convert.estimators.multi_output import resolve_delegates
from windlass.engines.convert.estimators.tree_ensemble import TreeEnsemble
from windlass.engines.convert.estimators.trees import read_tree, record_splits
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns


def anomaly_scores(compiler: Compiler, estimator: Any, columns: Columns) -> str:
    """Append the negative `score_samples`, float64 [N, 1]. Raises UnsupportedError without a converter."""
    estimator, columns = resolve_delegates(compiler, estimator, columns)
    name = known_name(estimator)
    if name != "IsolationForest":
        raise UnsupportedError(f"{name}: no converter for anomaly scores")
    return _isolation_forest(compiler, estimator, compiler.check(name, estimator, columns))


def _isolation_forest(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append 2 to the power of minus the mean path length over the expected one.

    F. T. Liu, K. M. Ting, Z.-H. Zhou (2008), "Isolation forest", ICDM 413-422, equation 2.
    """
    graph, ensemble = compiler.graph, TreeEnsemble(1)
    members = zip(
        model.estimators_,
        model.estimators_features_,
        model._decision_path_lengths,  # noqa: SLF001 - it has no public name
        model._average_path_length_per_tree,  # noqa: SLF001 - it has no public name
        strict=True,
    )
    for member, features, lengths, averages in members:
        depths = np.asarray(lengths, np.float64) + np.asarray(averages, np.float64) - 1.0
        tree = read_tree(member.tree_, depths.reshape(-1, 1))
        tree = replace(tree, feature=np.asarray(features)[np.maximum(tree.feature, 0)])
        ensemble.add(tree)
        record_splits(
            compiler, columns, tree.feature[~tree.leaf], member.tree_.threshold[~tree.leaf]
        )
    expected = len(model.estimators_) * _average_path_length(model._max_samples)  # noqa: SLF001 - no public name
    if not expected:
        raise UnsupportedError("IsolationForest: a single training row")
    depth = ensemble.emit(graph, graph.numeric_tensor(columns, model))
    exponent = graph.node("Div", depth, graph.constant(-float(expected)))
    return graph.node("Pow", graph.constant(2.0), exponent)


def _average_path_length(rows: int) -> float:
    """Return the mean path length of an unsuccessful search in a binary tree of so many rows (equation 1)."""
    if rows <= 1:
        return 0.0
    if rows == 2:
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)
