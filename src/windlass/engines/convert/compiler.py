"""Dispatches each step of an estimator to the converter of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from windlass.engines.convert.graph import Array, Columns, Graph
from windlass.engines.convert.types import UnsupportedError


@dataclass(frozen=True)
class ClassifierOutput:
    """Tensor names of a classifier's outputs, classes in the order of its own ``classes_``.

    ``label`` is int64 [N], an index into ``classes_``, with ties broken as ``predict`` breaks
    them. ``probabilities`` is float64 [N, c]. ``decision`` is float64, [N, 1] for two classes
    and [N, c] for more; None where the estimator has no ``decision_function``.
    """

    label: str
    probabilities: str | None
    decision: str | None = None

    @staticmethod
    def from_probabilities(graph: Graph, probabilities: str) -> ClassifierOutput:
        """Append the label of the most probable class, in a tie the first."""
        label = graph.node("ArgMax", probabilities, axis=1, keepdims=0)
        return ClassifierOutput(label, probabilities)


Transform = Callable[["Compiler", Any, Columns], Columns]
Classify = Callable[["Compiler", Any, Columns], ClassifierOutput]
Regress = Callable[["Compiler", Any, Columns], str]
Delegate = Callable[["Compiler", Any, Columns], tuple[Any, Columns]]


@dataclass(frozen=True)
class Converters:
    """Converters by class name of scikit-learn, and a fallback for each kind of estimator.

    ``delegates`` return another estimator that does the work, of any kind, and its columns.
    """

    delegates: Mapping[str, Delegate]
    transformers: Mapping[str, Transform]
    classifiers: Mapping[str, Classify]
    regressors: Mapping[str, Regress]
    fallback_transformer: Transform
    fallback_classifier: Classify
    fallback_regressor: Regress


@dataclass
class Compiler:
    """One conversion: the graph, and the split points of trees in terms of the raw columns.

    ``rejections`` are tensors [N, k] of zeros, with NaN in the rows that scikit-learn rejects.
    """

    converters: Converters
    graph: Graph = field(default_factory=Graph)
    splits: dict[int, list[Array]] = field(default_factory=dict)
    rejections: list[str] = field(default_factory=list)

    def reject(self, condition: str) -> None:
        """Give no prediction for the rows where ``condition``, boolean [N, k], is true anywhere."""
        constants = [self.graph.constant(value) for value in (np.nan, 0.0)]
        self.rejections.append(self.graph.node("Where", condition, *constants))

    def reject_non_finite(self, rows: str) -> None:
        """Give no prediction for the rows with a NaN or an infinite number in ``rows`` [N, k]."""
        self.rejections.append(self.graph.node("Sub", rows, rows))

    def predictions(self, values: str) -> str:
        """Return ``values`` [N, k], NaN in the rows that were rejected."""
        if not self.rejections:
            return values
        graph = self.graph
        parts = list(dict.fromkeys(self.rejections))
        joined = parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)
        rejected = graph.node("ReduceSum", joined, graph.constant([1]), keepdims=1)
        return graph.node("Add", values, rejected)

    def transform(self, step: Any, columns: Columns) -> Columns:
        """Append the transformer ``step`` and return its output columns."""
        if step is None or step == "passthrough":
            return columns
        name, converters = _scikit_learn_name(step), self.converters
        if name in converters.delegates:
            return self.transform(*converters.delegates[name](self, step, columns))
        convert = converters.transformers.get(name, converters.fallback_transformer)
        return convert(self, step, columns)

    def classify(self, estimator: Any, columns: Columns) -> ClassifierOutput:
        """Append the classifier ``estimator`` and return its outputs."""
        name, converters = _scikit_learn_name(estimator), self.converters
        if name in converters.delegates:
            return self.classify(*converters.delegates[name](self, estimator, columns))
        convert = converters.classifiers.get(name, converters.fallback_classifier)
        return convert(self, estimator, columns)

    def regress(self, estimator: Any, columns: Columns) -> str:
        """Append the regressor ``estimator`` and return its values, float64 [N, 1]."""
        name, converters = _scikit_learn_name(estimator), self.converters
        if name in converters.delegates:
            return self.regress(*converters.delegates[name](self, estimator, columns))
        convert = converters.regressors.get(name, converters.fallback_regressor)
        return convert(self, estimator, columns)


def _scikit_learn_name(step: Any) -> str:
    # A subclass may compute anything, so the class itself has to be scikit-learn's.
    kind = type(step)
    is_scikit_learn = (
        kind.__module__.startswith("sklearn.") or kind.__module__ == "imblearn.pipeline"
    )
    if not is_scikit_learn:
        raise UnsupportedError(f"{kind.__name__}: not a scikit-learn class, no converter knows it")
    return kind.__name__
