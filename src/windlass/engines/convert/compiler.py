"""Dispatches each step of an estimator to the converter of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

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


T = TypeVar("T")
Transform = Callable[["Compiler", Any, Columns], Columns]
Classify = Callable[["Compiler", Any, Columns], ClassifierOutput]
Regress = Callable[["Compiler", Any, Columns], str]


@dataclass(frozen=True)
class Converters:
    """Converters by class name of scikit-learn, and a fallback for each kind of estimator."""

    transformers: Mapping[str, Transform]
    classifiers: Mapping[str, Classify]
    regressors: Mapping[str, Regress]
    fallback_transformer: Transform
    fallback_classifier: Classify
    fallback_regressor: Regress


@dataclass
class Compiler:
    """One conversion: the graph, and the split points of trees in terms of the raw columns."""

    converters: Converters
    graph: Graph = field(default_factory=Graph)
    splits: dict[int, list[Array]] = field(default_factory=dict)

    def transform(self, step: Any, columns: Columns) -> Columns:
        """Append the transformer ``step`` and return its output columns."""
        if step is None or step == "passthrough":
            return columns
        table, fallback = self.converters.transformers, self.converters.fallback_transformer
        return _lookup(table, step, fallback)(self, step, columns)

    def classify(self, estimator: Any, columns: Columns) -> ClassifierOutput:
        """Append the classifier ``estimator`` and return its outputs."""
        table, fallback = self.converters.classifiers, self.converters.fallback_classifier
        return _lookup(table, estimator, fallback)(self, estimator, columns)

    def regress(self, estimator: Any, columns: Columns) -> str:
        """Append the regressor ``estimator`` and return its values, float64 [N, 1]."""
        table, fallback = self.converters.regressors, self.converters.fallback_regressor
        return _lookup(table, estimator, fallback)(self, estimator, columns)


def _lookup(table: Mapping[str, T], step: Any, fallback: T) -> T:
    # A subclass may compute anything, so the class itself has to be scikit-learn's.
    kind = type(step)
    is_scikit_learn = (
        kind.__module__.startswith("sklearn.") or kind.__module__ == "imblearn.pipeline"
    )
    if not is_scikit_learn:
        raise UnsupportedError(f"{kind.__name__}: not a scikit-learn class, no converter knows it")
    return table.get(kind.__name__, fallback)
