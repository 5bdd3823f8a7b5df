"""Dispatches each step of an estimator to the converter of its class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from windlass.engines.convert.graph import Array, Columns, Graph, GraphColumn
from windlass.engines.convert.types import ColumnDomain, UnsupportedError

# Estimators through which NaN reaches the predictions; in others it may get lost.
_ROUTES = frozenset(  # which leave the checks to their members
    {
        "BaggingClassifier", "BaggingRegressor", "CalibratedClassifierCV", "ColumnTransformer",
        "FeatureUnion", "FixedThresholdClassifier",
        "OneVsRestClassifier", "StackingClassifier", "StackingRegressor",
        "TransformedTargetRegressor", "TunedThresholdClassifierCV", "VotingClassifier",
        "VotingRegressor",
    }
)  # fmt: skip
_SCALERS = frozenset({"RobustScaler", "StandardScaler"})
_LINEAR_CLASSIFIERS = frozenset(
    {"LinearDiscriminantAnalysis", "LogisticRegression", "LogisticRegressionCV"}
)
_LINEAR_REGRESSORS = frozenset({"ElasticNet", "Lasso", "LinearRegression", "Ridge", "RidgeCV"})
_PASS_NAN_ON = _ROUTES | _SCALERS | _LINEAR_CLASSIFIERS | _LINEAR_REGRESSORS
_BOOSTERS = frozenset({"catboost", "lightgbm", "xgboost"})
_ENCODED_BOOSTERS = "windlass.engines.boosters"
_REJECT_INFINITY = frozenset({"MaxAbsScaler", "MinMaxScaler", "PowerTransformer", "SimpleImputer"})
_FLOAT64_MAX = float(np.finfo(np.float64).max)


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

    ``domains`` are those of the numeric input's columns, ``text_domains`` those of the text
    input's. ``rejections`` are tensors [N, 1] of
    zeros, with NaN in the rows that scikit-learn rejects.
    """

    converters: Converters
    domains: Sequence[ColumnDomain] = ()
    text_domains: Sequence[ColumnDomain] = ()
    graph: Graph = field(default_factory=Graph)
    splits: dict[int, list[Array]] = field(default_factory=dict)
    rejections: list[str] = field(default_factory=list)

    def reject(self, condition: str) -> None:
        """Give no prediction for the rows where ``condition``, boolean [N, k], is true anywhere."""
        constants = [self.graph.constant(value) for value in (np.nan, 0.0)]
        self.reject_marked(self.graph.node("Where", condition, *constants))

    def reject_non_finite(self, rows: str) -> None:
        """Give no prediction for the rows with a NaN or an infinite number in ``rows`` [N, k]."""
        self.reject_marked(self.graph.node("Sub", rows, rows))

    def reject_marked(self, marks: str) -> None:
        """Give no prediction for the rows with NaN in ``marks`` [N, k], which are 0 elsewhere."""
        axis = self.graph.constant([1])
        self.rejections.append(self.graph.node("ReduceSum", marks, axis, keepdims=1))

    def require_finite(self, columns: Columns) -> None:
        """Give no prediction for the rows with NaN or infinity in these columns, where there may be any."""
        if any(column.rejectable or self.may_be_missing(column) for column in columns):
            self._reject_non_finite(columns)
        else:
            self.require_no_infinity(columns)

    def require_no_infinity(self, columns: Columns) -> None:
        """Give no prediction for the rows with NaN or infinity, where there may be an infinity."""
        if self._may_be_infinite(columns):
            self._reject_non_finite(columns)

    def _reject_non_finite(self, columns: Columns) -> None:
        """Append the product with zeros, which is NaN for NaN and infinity: one node."""
        zeros = self.graph.constant(np.zeros((len(columns), 1)))
        self.rejections.append(self.graph.node("MatMul", self.graph.concatenate(columns), zeros))

    def largest(self, column: GraphColumn) -> float:
        """Return the largest absolute value that a column of numbers may have; inf where it is not known."""
        if column.finite:
            return 0.0
        if column.origin is None:
            return math.inf
        domain = self.domains[column.origin.index]
        raw = min(max(abs(domain.low), abs(domain.high)), _FLOAT64_MAX)
        return (raw + abs(column.origin.shift)) / abs(column.origin.slope)

    def may_be_missing(self, column: GraphColumn) -> bool:
        """Whether a number of a column may be NaN in a valid row."""
        if column.finite:
            return False
        return column.origin is None or self.domains[column.origin.index].nullable

    def predictions(self, values: str) -> str:
        """Return ``values`` [N, k], NaN in the rows that were rejected."""
        if not self.rejections:
            return values
        return self.graph.node("Sum", values, *self.rejections)

    def transform(self, step: Any, columns: Columns) -> Columns:
        """Append the transformer ``step`` and return its output columns."""
        if step is None or step == "passthrough":
            return columns
        name, converters = known_name(step), self.converters
        if name in converters.delegates:
            return self.transform(*converters.delegates[name](self, step, columns))
        convert = converters.transformers.get(name, converters.fallback_transformer)
        settled = self.check(name, step, columns)
        result = convert(self, step, settled)
        if name in _SCALERS:
            marked, infinite = any(c.rejectable for c in settled), self._may_be_infinite(settled)
            return tuple(replace(c, rejectable=marked, bounded=infinite) for c in result)
        return result

    def classify(self, estimator: Any, columns: Columns) -> ClassifierOutput:
        """Append the classifier ``estimator`` and return its outputs."""
        name, converters = known_name(estimator), self.converters
        if name in converters.delegates:
            return self.classify(*converters.delegates[name](self, estimator, columns))
        convert = converters.classifiers.get(name, converters.fallback_classifier)
        return convert(self, estimator, self.check(name, estimator, columns))

    def regress(self, estimator: Any, columns: Columns) -> str:
        """Append the regressor ``estimator`` and return its values, float64 [N, 1]."""
        name, converters = known_name(estimator), self.converters
        if name in converters.delegates:
            return self.regress(*converters.delegates[name](self, estimator, columns))
        convert = converters.regressors.get(name, converters.fallback_regressor)
        return convert(self, estimator, self.check(name, estimator, columns))

    def check(self, name: str, step: Any, columns: Columns) -> Columns:
        """Reject the rows that the estimator rejects for NaN or infinity, and those that NaN marks."""
        if name in _PASS_NAN_ON:
            return columns
        numeric = tuple(column for column in columns if not column.text)
        marked = tuple(column for column in numeric if column.rejectable)
        if numeric and not _takes_nan(step):
            self.require_finite(numeric)
            return _unmarked(columns)
        if marked:
            self._reject_non_finite(marked)
        limited = tuple(c for c in numeric if c.bounded or name in _REJECT_INFINITY)
        if self._may_be_infinite(limited):
            self.reject(self.graph.node("IsInf", self.graph.concatenate(limited)))
        return _unmarked(columns)

    def _may_be_infinite(self, columns: Columns) -> bool:
        return any(math.isinf(self.largest(column)) for column in columns)


def _unmarked(columns: Columns) -> Columns:
    return tuple(replace(column, rejectable=False, bounded=False) for column in columns)


def _takes_nan(step: Any) -> bool:
    if _package(step) in _BOOSTERS:
        return True
    tags = step.__sklearn_tags__()
    return bool(tags.no_validation or tags.input_tags.allow_nan)


def _package(step: Any) -> str:
    return type(step).__module__.partition(".")[0]


def known_name(step: Any) -> str:
    """Return the name of a class that converters may know. Raises UnsupportedError for others."""
    # A subclass may compute anything, so the class itself has to be one that the table means.
    kind = type(step)
    is_known = (
        kind.__module__.startswith("sklearn.")
        or kind.__module__ in ("imblearn.pipeline", _ENCODED_BOOSTERS)
        or _package(step) in _BOOSTERS
    )
    if not is_known:
        raise UnsupportedError(f"{kind.__name__}: not a scikit-learn class, no converter knows it")
    return kind.__name__
