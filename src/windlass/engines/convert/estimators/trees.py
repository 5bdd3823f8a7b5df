"""Converters of decision trees and forests; thresholds reproduce scikit-learn's float32 comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler
from windlass.engines.convert.estimators.tree_ensemble import Tree, TreeEnsemble
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array, Columns

_LARGEST = float(np.finfo(np.float32).max)
# The largest float64 that float32 rounds down to its own largest.
_LARGEST_ROUNDED = float(np.nextafter(_LARGEST + 2.0**103, 0.0))


def float64_thresholds(thresholds: Array) -> Array:
    """Return t' such that ``x <= t'`` exactly where ``float32(x) <= t``, for every float64 x.

    Scikit-learn's trees round the row to float32 and compare it with a float64 threshold. With
    these thresholds the graph compares the row as it is and needs no cast.
    """
    below = np.minimum(thresholds, _LARGEST).astype(np.float32)
    with np.errstate(over="ignore"):
        lower = np.nextafter(below, np.float32(-np.inf))
    below = np.where(below.astype(np.float64) > thresholds, lower, below)
    low = below.astype(np.float64)
    with np.errstate(over="ignore"):
        step = np.nextafter(below, np.float32(np.inf)).astype(np.float64)
    # Beyond the largest float32 a row overflows, and scikit-learn refuses it.
    step = np.where(np.isinf(step), low + 2.0**104, step)
    middle = low + (step - low) / 2
    # Halfway between two float32 values a row is rounded to the even one.
    even = below.view(np.int32) % 2 == 0
    folded = np.where(even, middle, np.nextafter(middle, -np.inf))
    # An infinite threshold splits missing values from all others.
    return np.where(np.isinf(thresholds), thresholds, folded)


def require_equal_comparisons(thresholds: Array, folded: Array) -> None:
    """Raise UnsupportedError unless ``x <= folded`` exactly where ``float32(x) <= thresholds``, for every x.

    Both change once as x grows, so that the last x of one side and the first of the other prove it.
    """
    with np.errstate(over="ignore"):
        last = folded.astype(np.float32) <= thresholds
        first = np.nextafter(folded, np.inf).astype(np.float32) > thresholds
    if not (last & first | np.isinf(thresholds)).all():
        raise UnsupportedError("a threshold of a tree has no equal in float64")


def read_tree(tree: Any, value: Array) -> Tree:
    """Return a scikit-learn ``tree_`` with ``value`` float64 [nodes, outputs] at its leaves."""
    nodes = tree.__getstate__()["nodes"]
    leaf = nodes["left_child"] == -1
    thresholds = float64_thresholds(nodes["threshold"])
    require_equal_comparisons(nodes["threshold"], thresholds)
    return Tree(
        feature=nodes["feature"],
        threshold=thresholds,
        left=nodes["left_child"],
        right=nodes["right_child"],
        leaf=leaf,
        missing_left=nodes["missing_go_to_left"],
        value=value,
    )


def reject_beyond_float32(
    compiler: Compiler, ensemble: TreeEnsemble, columns: Columns, used: Array | None = None
) -> None:
    """Give no prediction for the rows that trees reject: with a number beyond float32, in all or the used columns."""
    numbers = range(len(columns)) if used is None else used.tolist()
    features = [i for i in numbers if compiler.largest(columns[i]) > _LARGEST]
    ensemble.reject(features, _LARGEST_ROUNDED)


def record_splits(compiler: Compiler, columns: Columns, feature: Array, threshold: Array) -> None:
    """Record split points of the raw columns, where known, for the probe rows of the equivalence check."""
    for index in np.unique(feature).tolist():
        origin = columns[index].origin
        if origin is not None:
            raw = threshold[feature == index] * origin.slope + origin.shift
            compiler.splits.setdefault(origin.index, []).append(raw)


def record_tree_splits(compiler: Compiler, columns: Columns, tree: Any) -> None:
    """Record the splits of a scikit-learn ``tree_``."""
    inner = tree.children_left != -1
    record_splits(compiler, columns, tree.feature[inner], tree.threshold[inner])


def _outputs(model: Any) -> int:
    return int(getattr(model, "n_outputs_", 1))


def sums_of_trees(
    compiler: Compiler, model: Any, members: list[Any], columns: Columns
) -> list[str]:
    """Append for each output the trees' mean leaf values, float64 [N, classes] or [N, 1]."""
    widths = np.broadcast_to(getattr(model, "n_classes_", 1), (_outputs(model),)).tolist()
    for member in members:
        record_tree_splits(compiler, columns, member.tree_)
    return [
        _mean_of_trees(compiler, model, members, columns, (index, width))
        for index, width in enumerate(widths)
    ]


def _mean_of_trees(
    compiler: Compiler, model: Any, members: list[Any], columns: Columns, output: tuple[int, int]
) -> str:
    """Append the mean leaf values of one output: its index, and the number of its values."""
    index, width = output
    ensemble = TreeEnsemble(width)
    reject_beyond_float32(compiler, ensemble, columns)
    for member in members:
        ensemble.add(read_tree(member.tree_, member.tree_.value[:, index, :width]))
    graph = compiler.graph
    total = ensemble.emit(graph, graph.numeric_tensor(columns, model))
    if len(members) == 1:
        return total
    return graph.node("Div", total, graph.constant(float(len(members))))


def _sum_of_trees(compiler: Compiler, model: Any, members: list[Any], columns: Columns) -> str:
    """Append the trees' mean leaf values, float64 [N, classes] or [N, 1]."""
    if _outputs(model) != 1:
        raise UnsupportedError(f"{type(model).__name__}: several targets")
    (total,) = sums_of_trees(compiler, model, members, columns)
    return total


def tree_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append one tree; its leaves hold the classes' probabilities."""
    probabilities = _sum_of_trees(compiler, model, [model], columns)
    return ClassifierOutput.from_probabilities(compiler.graph, probabilities)


def forest_classifier(compiler: Compiler, model: Any, columns: Columns) -> ClassifierOutput:
    """Append a forest: probabilities are added in tree order and divided once; in a tie the first class wins."""
    probabilities = _sum_of_trees(compiler, model, list(model.estimators_), columns)
    return ClassifierOutput.from_probabilities(compiler.graph, probabilities)


def tree_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append one regression tree."""
    return _sum_of_trees(compiler, model, [model], columns)


def forest_regressor(compiler: Compiler, model: Any, columns: Columns) -> str:
    """Append a regression forest."""
    return _sum_of_trees(compiler, model, list(model.estimators_), columns)
