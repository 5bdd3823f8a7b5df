"""Dummies, nearest centroids, isotonic regression, pairs of classes, and what delegates to another estimator."""

from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import MissingIndicator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, RANSACRegressor
from sklearn.multiclass import OneVsOneClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from tests.support.budget import IS_CI

CLASSIFIERS = [
    DummyClassifier(),
    DummyClassifier(strategy="most_frequent"),
    DummyClassifier(strategy="constant", constant=1),
    NearestCentroid(),
    NearestCentroid(priors="empirical", shrink_threshold=0.2),
    CalibratedClassifierCV(OneVsOneClassifier(LogisticRegression(max_iter=500)), ensemble=False),
    CalibratedClassifierCV(Perceptron(random_state=0), ensemble=False),
    SelfTrainingClassifier(LogisticRegression(max_iter=500)),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples")
@pytest.mark.parametrize("table", ["iris", "cancer"] if IS_CI else ["iris"])
def test_classifiers(
    model: Any, table: str, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    convert_exactly(make_pipeline(MinMaxScaler(), model), request.getfixturevalue(table))


@pytest.mark.parametrize(
    "model",
    [
        DummyRegressor(strategy="quantile", quantile=0.3),
        RANSACRegressor(LinearRegression(), min_samples=50, random_state=0),
    ],
    ids=repr,
)
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(model, diabetes)


@pytest.mark.parametrize("beyond", ["clip", "nan", "raise"])
def test_isotonic_regression(beyond: str, diabetes: Any, convert_exactly: Any) -> None:
    rows, target = diabetes
    convert_exactly(IsotonicRegression(out_of_bounds=beyond), (rows[["bmi"]], target))


def test_missing_indicator(mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    model = make_pipeline(MissingIndicator(), LogisticRegression())
    convert_exactly(model, (rows[["age", "income"]], target))


def test_what_draws_at_random_is_native(iris: Any, native_reason: Any) -> None:
    model = DummyClassifier(strategy="stratified", random_state=0)
    assert "draws at random" in native_reason(model, iris)
