from typing import Any

import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

CLASSIFIERS = [
    LogisticRegression(),
    LogisticRegression(solver="newton-cg", C=0.01),
    LinearDiscriminantAnalysis(),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
]
REGRESSORS = [
    LinearRegression(),
    Ridge(),
    Lasso(),
    ElasticNet(fit_intercept=False),
    BayesianRidge(),
    HuberRegressor(max_iter=1000),
    SGDRegressor(random_state=0),
    LinearSVR(max_iter=10_000),
    PoissonRegressor(),
    GammaRegressor(),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_classifiers(
    model: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), request.getfixturevalue(table))


@pytest.mark.parametrize("model", REGRESSORS, ids=repr)
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), diabetes)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_far_from_zero_share_nothing(iris: Any, convert_exactly: Any) -> None:
    rows, target = iris
    convert_exactly(
        SGDClassifier(loss="log_loss", tol=None, max_iter=20, random_state=0),
        (rows * 1000.0, target),
    )


def test_no_probabilities_is_native(iris: Any, native_reason: Any) -> None:
    assert "no probabilities" in native_reason(RidgeClassifier(), iris)
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    assert native_reason(model, iris) == "it gives no probabilities"
    assert "no probabilities" in native_reason(SGDClassifier(loss="hinge", random_state=0), iris)


def test_several_targets_are_native(diabetes: Any, native_reason: Any) -> None:
    rows, target = diabetes
    two = target.to_frame().assign(other=target * 2)
    assert native_reason(LinearRegression(), (rows, two)) == "LinearRegression: several targets"
