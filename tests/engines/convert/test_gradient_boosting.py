from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSIFIERS = [{}, {"init": "zero"}, {"learning_rate": 0.3, "max_depth": 2, "subsample": 0.5}]


@pytest.mark.parametrize("options", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_classifiers(
    options: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    model = GradientBoostingClassifier(n_estimators=15, random_state=0, **options)
    convert_exactly(make_pipeline(StandardScaler(), model), request.getfixturevalue(table))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "quantile"])
def test_regressors_are_equal_in_every_bit(loss: Any, diabetes: Any, convert_exactly: Any) -> None:
    model = GradientBoostingRegressor(n_estimators=15, loss=loss, random_state=0)
    assert convert_exactly(model, diabetes).report.max_difference == 0.0


def test_a_tie_of_two_classes_goes_to_the_second(iris: Any, convert_exactly: Any) -> None:
    # Nothing to learn and equally many: the score is exactly 0 everywhere.
    rows, _ = iris
    target = np.tile([0, 1], 75)
    flat = rows * 0.0
    model = GradientBoostingClassifier(n_estimators=2, init="zero")
    assert convert_exactly(model, (flat, target)).report.labels_changed == 0
    assert set(model.predict(flat)) == {1}


def test_another_start_is_native(iris: Any, native_reason: Any) -> None:
    model = GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=1000))
    assert "init=LogisticRegression" in native_reason(model, iris)


def test_exponential_loss_is_native(cancer: Any, native_reason: Any) -> None:
    model = GradientBoostingClassifier(n_estimators=2, loss="exponential")
    assert "loss='exponential'" in native_reason(model, cancer)
