from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
LOGISTIC = LogisticRegression()
CLASSIFIERS = [
    OneVsRestClassifier(LOGISTIC),
    OneVsRestClassifier(TREE),
    BaggingClassifier(n_estimators=8, max_features=0.5, random_state=0),
    BaggingClassifier(LOGISTIC, n_estimators=4, random_state=0),
    AdaBoostClassifier(n_estimators=8, random_state=0),
    AdaBoostClassifier(TREE, n_estimators=8, random_state=0),
    VotingClassifier([("a", LOGISTIC), ("b", TREE)], voting="soft"),
    VotingClassifier(
        [("a", LOGISTIC), ("off", "drop"), ("b", TREE)], voting="soft", weights=[2, 5, 1]
    ),
    StackingClassifier([("a", LOGISTIC), ("b", TREE)], cv=3),
    StackingClassifier([("a", LinearSVC()), ("b", TREE)], cv=3, passthrough=True),
]
REGRESSORS = [
    AdaBoostRegressor(random_state=0),
    AdaBoostRegressor(n_estimators=1, loss="square", random_state=0),
    AdaBoostRegressor(Ridge(), n_estimators=6, loss="exponential", random_state=0),
    BaggingRegressor(n_estimators=5, random_state=0),
    BaggingRegressor(Ridge(), n_estimators=4, max_features=3, random_state=0),
    VotingRegressor([("a", Ridge()), ("b", RandomForestRegressor(5))], weights=[1, 2]),
    StackingRegressor([("a", Ridge()), ("b", RandomForestRegressor(5))], cv=3, passthrough=True),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: repr(model)[:60])
@pytest.mark.parametrize("table", ["iris", "cancer"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classifiers(
    model: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), request.getfixturevalue(table))


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: repr(model)[:60])
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), diabetes)


def test_what_is_not_converted_is_named(iris: Any, native_reason: Any) -> None:
    boosted = AdaBoostClassifier(GaussianNB(), n_estimators=2)
    assert native_reason(boosted, iris) == "AdaBoostClassifier over GaussianNB"
    hard = VotingClassifier([("a", GaussianNB()), ("b", TREE)])
    assert "voting='hard'" in native_reason(hard, iris)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 1.0, 2.0], [0.0, 3.0, 3.0]], ids=repr)
def test_the_median_where_half_the_weight_is_reached(
    weights: Any, diabetes: Any, compare_rows: Any
) -> None:
    rows, target = diabetes
    model = AdaBoostRegressor(n_estimators=len(weights), random_state=0).fit(rows, target)
    model.estimator_weights_ = np.array(weights)
    assert compare_rows(FrozenEstimator(model), (rows, target), rows[:20]) == 0


def test_the_label_of_one_vs_rest_where_probabilities_are_equal(
    iris: Any, compare_rows: Any
) -> None:
    # Far away several classes have a probability of 1 before they are divided by the sum.
    far = np.random.default_rng(0).normal(0, 1e3, (40, 4))
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000))
    assert compare_rows(model, iris, pd.DataFrame(far, columns=iris[0].columns)) == 0


def test_a_column_that_no_member_of_a_bag_sees_rejects_nothing(
    iris: Any, compare_rows: Any
) -> None:
    model = BaggingClassifier(n_estimators=2, max_features=1, random_state=0)
    special = np.where(np.eye(4) > 0, 1e39, 1.0)
    rows = pd.DataFrame(special, columns=iris[0].columns)
    rejected = compare_rows(model, iris, rows, limit=1e40)
    assert rejected == len(np.unique(model.estimators_features_)) < 4
