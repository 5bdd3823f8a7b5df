"""Converters of estimators that predict several outputs at once, a tensor for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.compiler import ClassifierOutput, Compiler, known_name
from windlass.engines.convert.estimators.linear import affine
from windlass.engines.convert.estimators.trees import sums_of_trees
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Columns

_WRAPPERS = ("MultiOutputClassifier", "MultiOutputRegressor")
_TREES = frozenset(
    {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"}
)
_FORESTS = frozenset(
    {
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
        "RandomForestClassifier",
        "RandomForestRegressor",
    }
)
_LINEAR = frozenset(
    {"ElasticNet", "Lasso", "LinearRegression", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
     "MultiTaskLassoCV", "Ridge", "RidgeCV"}
)  # fmt: skip


def classify_outputs(
    compiler: Compiler, estimator: Any, columns: Columns
) -> list[ClassifierOutput]:
    """Append a classifier of several outputs; raises UnsupportedError where there is no converter."""
    return _append_outputs(
        compiler,
        estimator,
        columns,
        compiler.classify,
        lambda tensor: ClassifierOutput.from_probabilities(compiler.graph, tensor),
    )


def regress_outputs(compiler: Compiler, estimator: Any, columns: Columns) -> list[str]:
    """Append a regressor of several outputs, float64 [N, 1] each; raises UnsupportedError without a converter."""
    return _append_outputs(compiler, estimator, columns, compiler.regress, lambda tensor: tensor)


def resolve_delegates(compiler: Compiler, estimator: Any, columns: Columns) -> tuple[Any, Columns]:
    """Return the estimator that does the work of pipelines and searches, and its columns."""
    delegates = compiler.converters.delegates
    while (name := known_name(estimator)) in delegates:
        estimator, columns = delegates[name](compiler, estimator, columns)
    return estimator, columns


def _append_outputs(
    compiler: Compiler,
    estimator: Any,
    columns: Columns,
    append: Callable[[Any, Columns], Any],
    finish: Callable[[str], Any],
) -> list[Any]:
    """Append each output, by `append` where it has an estimator of its own, else by `finish` of its tensor."""
    estimator, columns = resolve_delegates(compiler, estimator, columns)
    name = known_name(estimator)
    if name in _WRAPPERS:
        return [append(member, columns) for member in estimator.estimators_]
    if name in _LINEAR:
        checked = compiler.check(name, estimator, columns)
        return [finish(tensor) for tensor in _linear_values(compiler, estimator, checked)]
    if name in _TREES or name in _FORESTS:
        members = [estimator] if name in _TREES else list(estimator.estimators_)
        checked = compiler.check(name, estimator, columns)
        return [finish(each) for each in sums_of_trees(compiler, estimator, members, checked)]
    raise UnsupportedError(f"{name}: no converter for several outputs")


def _linear_values(compiler: Compiler, model: Any, columns: Columns) -> list[str]:
    compiler.require_no_infinity(columns)
    rows = compiler.graph.numeric_tensor(columns, model)
    coef = np.atleast_2d(model.coef_)
    intercept = np.broadcast_to(np.atleast_1d(model.intercept_), (len(coef),))
    values = affine(compiler.graph, rows, coef.T, intercept)
    return [compiler.graph.gather(values, [index]) for index in range(len(coef))]
