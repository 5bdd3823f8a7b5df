"""Builder of ONNX's TreeEnsemble operator: many trees in one node, summed in order, in float64 or float32."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from windlass.engines.convert.graph import ML, Array, Graph, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEQ, _MEMBER = 0, 6  # BRANCH_LEQ and BRANCH_MEMBER
_SUM, _NO_POST_TRANSFORM = 1, 0


@dataclass(frozen=True)
class Tree:
    """A binary tree by node: children come after their parent, and node 0 is the root.

    ``left`` is taken where ``x[feature] <= threshold`` (or ``x[feature]`` is in ``members``, for
    the nodes named there), and for NaN where ``missing_left``. Only leaves use ``value``,
    float64 [nodes, outputs].
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    leaf: Array
    missing_left: Array
    value: Array
    members: dict[int, Array] = field(default_factory=dict)


class TreeEnsemble:
    """Collects trees and emits them as one node that adds up their leaves per output."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self._parts: dict[str, list[Array]] = {key: [] for key in _KEYS}
        self._members: list[Array] = []
        self._nodes = 0
        self._leaves = 0

    def add_constant(self, values: Array, first: int = 0) -> None:
        """Add ``values[k]`` to output ``first + k``, before the trees that follow."""
        for k, value in enumerate(np.asarray(values, np.float64).tolist()):
            if value:
                self._add_leaf(value, first + k)

    def reject(self, features: Sequence[int], largest: float) -> None:
        """Give no prediction where a feature is beyond ``±largest``; NaN may pass.

        Such a row reaches a leaf that makes the last output NaN, in a tree of two splits for each feature.
        """
        below = -np.nextafter(largest, np.inf)
        for feature in features:
            self.add(
                Tree(
                    feature=np.array([feature, feature, 0, 0, 0]),
                    threshold=np.array([largest, below, 0.0, 0.0, 0.0]),
                    left=np.array([1, 2, -1, -1, -1]),
                    right=np.array([4, 3, -1, -1, -1]),
                    leaf=np.array([False, False, True, True, True]),
                    missing_left=np.array([True, False, False, False, False]),
                    value=np.array([[0.0], [0.0], [np.nan], [0.0], [np.nan]]),
                ),
                first=self.outputs - 1,
            )

    def add(self, tree: Tree, first: int = 0) -> None:
        """Add a tree whose value ``k`` counts for output ``first + k``.

        A leaf of the operator has one output. So a tree with several nonzero values in a leaf
        goes in more than once, the n-th time with the n-th nonzero value of every leaf; parts
        that are zero are cut. Every output still adds up in tree order, as scikit-learn does.
        """
        present = tree.value != 0
        present[~tree.leaf] = False
        rank = np.cumsum(present, axis=1)
        for turn in range(1, max(int(rank.max(initial=0)), 1) + 1):
            chosen = present & (rank == turn)
            target = chosen.argmax(axis=1)
            weight = np.where(chosen.any(axis=1), tree.value[np.arange(len(target)), target], 0.0)
            leaf = tree.leaf if turn == 1 else _cut(tree, weight)
            self._flatten(tree, leaf, target + first, weight)

    def _flatten(self, tree: Tree, leaf: Array, target: Array, weight: Array) -> None:
        if leaf[0]:
            self._add_leaf(float(weight[0]), int(target[0]))
            return
        reached = _reached(tree, leaf)
        inner, ends = np.flatnonzero(reached & ~leaf), np.flatnonzero(reached & leaf)
        number = np.zeros(len(leaf), np.int64)
        number[inner] = np.arange(len(inner)) + self._nodes
        number[ends] = np.arange(len(ends)) + self._leaves
        modes = np.full(len(inner), _LEQ, np.uint8)
        for position, node in enumerate(inner.tolist()):
            if node in tree.members:
                modes[position] = _MEMBER
                self._members += [tree.members[node].astype(np.float64), np.array([np.nan])]
        left, right = tree.left[inner], tree.right[inner]
        self._extend(
            roots=[self._nodes],
            feature=tree.feature[inner],
            threshold=tree.threshold[inner],
            modes=modes,
            true=number[left],
            true_leaf=leaf[left],
            false=number[right],
            false_leaf=leaf[right],
            missing=tree.missing_left[inner],
            target=target[ends],
            weight=weight[ends],
        )

    def _add_leaf(self, value: float, target: int) -> None:
        # The operator has no tree without a split, so both branches lead to the one leaf.
        node, leaf = self._nodes, self._leaves
        self._extend(
            roots=[node],
            feature=[0],
            threshold=[0.0],
            modes=np.array([_LEQ], np.uint8),
            true=[leaf],
            true_leaf=[1],
            false=[leaf],
            false_leaf=[1],
            missing=[0],
            target=[target],
            weight=[value],
        )

    def _extend(self, **parts: Array | list[int] | list[float]) -> None:
        for key, values in parts.items():
            self._parts[key].append(np.asarray(values))
        self._nodes += len(parts["feature"])
        self._leaves += len(parts["target"])

    def emit(self, graph: Graph, rows: str, precision: type = np.float64) -> str:
        """Append the node over ``rows`` [N, k] and return [N, outputs], both of this precision."""
        if not self._nodes:
            self._add_leaf(0.0, 0)
        parts = {key: np.concatenate(values) for key, values in self._parts.items()}
        integers = {name: parts[key].astype(np.int64) for key, name in _INTEGERS.items()}
        extra = {}
        if self._members:
            extra["membership_values"] = tensor(np.concatenate(self._members).astype(precision))
        return graph.node(
            "TreeEnsemble",
            rows,
            domain=ML,
            n_targets=self.outputs,
            aggregate_function=_SUM,
            post_transform=_NO_POST_TRANSFORM,
            nodes_modes=tensor(parts["modes"]),
            nodes_splits=tensor(parts["threshold"].astype(precision)),
            leaf_weights=tensor(parts["weight"].astype(precision)),
            **{name: values.tolist() for name, values in integers.items()},
            **extra,
        )


_INTEGERS = {
    "roots": "tree_roots",
    "feature": "nodes_featureids",
    "true": "nodes_truenodeids",
    "true_leaf": "nodes_trueleafs",
    "false": "nodes_falsenodeids",
    "false_leaf": "nodes_falseleafs",
    "missing": "nodes_missing_value_tracks_true",
    "target": "leaf_targetids",
}
_KEYS = (*_INTEGERS, "threshold", "modes", "weight")


def _cut(tree: Tree, weight: Array) -> Array:
    """Return which nodes end a copy of the tree: leaves, and subtrees of nothing but zeros."""
    something = (tree.leaf & (weight != 0)).tolist()
    left, right, leaf = tree.left.tolist(), tree.right.tolist(), tree.leaf.tolist()
    for node in range(len(leaf) - 1, -1, -1):
        if not leaf[node]:
            something[node] = something[left[node]] or something[right[node]]
    weight[~tree.leaf] = 0.0
    ends: Array = tree.leaf | ~np.array(something)
    return ends


def _reached(tree: Tree, leaf: Array) -> Array:
    """Return which nodes a walk from the root can reach without passing an end."""
    reached = [False] * len(leaf)
    reached[0] = True
    left, right, ends = tree.left.tolist(), tree.right.tolist(), leaf.tolist()
    for node, end in enumerate(ends):
        if reached[node] and not end:
            reached[left[node]] = reached[right[node]] = True
    return np.array(reached)
