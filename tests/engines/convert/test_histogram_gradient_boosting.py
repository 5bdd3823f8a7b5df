from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

WORDS = ["colour", "job"]


def boosting(**options: Any) -> Any:
    return HistGradientBoostingClassifier(max_iter=15, random_state=0, **options)


def ordinal(**options: Any) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **options)
    return ColumnTransformer([("words", encoder, WORDS)], remainder="passthrough")


@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_classifiers(table: Any, convert_exactly: Any, request: pytest.FixtureRequest) -> None:
    convert_exactly(boosting(), request.getfixturevalue(table))


@pytest.mark.parametrize("classes", [2, 3])
def test_missing_values(classes: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    convert_exactly(boosting(), (rows[["age", "income", "since"]], np.minimum(target, classes - 1)))


@pytest.mark.parametrize("classes", [2, 3])
def test_behind_an_ordinal_encoder(classes: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    convert_exactly(make_pipeline(ordinal(), boosting()), (rows, np.minimum(target, classes - 1)))


def test_categories_behind_an_ordinal_encoder(mixed: Any, convert_exactly: Any) -> None:
    model = boosting(categorical_features=[0, 1])
    convert_exactly(make_pipeline(ordinal(encoded_missing_value=np.nan), model), mixed)


def test_categories_of_its_own(mixed: Any, convert_exactly: Any) -> None:
    convert_exactly(boosting(categorical_features=WORDS), mixed)


def test_splits_on_numbers_as_categories(mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    convert_exactly(boosting(categorical_features=[1]), (rows[["age", "member"]], target))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma"])
def test_regressors(loss: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(HistGradientBoostingRegressor(max_iter=15, loss=loss, random_state=0), diabetes)


def test_a_tie_of_two_classes_goes_to_the_first(iris: Any, convert_exactly: Any) -> None:
    rows, _ = iris
    target = np.tile([0, 1], 75)
    model = boosting()
    convert_exactly(model, (rows * 0.0, target))
    assert set(model.predict(rows * 0.0)) == {0}
