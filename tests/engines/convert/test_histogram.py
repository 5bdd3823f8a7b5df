import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

WORDS = ["colour", "job"]


def boosting(**options):
    return HistGradientBoostingClassifier(max_iter=15, random_state=0, **options)


def ordinal(**options):
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **options)
    return ColumnTransformer([("words", encoder, WORDS)], remainder="passthrough")


@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_classifiers(table, proved, request):
    proved(boosting(), request.getfixturevalue(table))


@pytest.mark.parametrize("classes", [2, 3])
def test_missing_values(classes, mixed, proved):
    rows, target = mixed
    proved(boosting(), (rows[["age", "income", "since"]], np.minimum(target, classes - 1)))


@pytest.mark.parametrize("classes", [2, 3])
def test_behind_an_ordinal_encoder(classes, mixed, proved):
    rows, target = mixed
    proved(make_pipeline(ordinal(), boosting()), (rows, np.minimum(target, classes - 1)))


def test_categories_behind_an_ordinal_encoder(mixed, proved):
    model = boosting(categorical_features=[0, 1])
    proved(make_pipeline(ordinal(encoded_missing_value=np.nan), model), mixed)


def test_categories_of_its_own(mixed, proved):
    proved(boosting(categorical_features=WORDS), mixed)


def test_splits_on_numbers_as_categories(mixed, proved):
    rows, target = mixed
    proved(boosting(categorical_features=[1]), (rows[["age", "member"]], target))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma"])
def test_regressors(loss, diabetes, proved):
    proved(HistGradientBoostingRegressor(max_iter=15, loss=loss, random_state=0), diabetes)


def test_a_tie_of_two_classes_goes_to_the_first(iris, proved):
    rows, _ = iris
    target = np.tile([0, 1], 75)
    model = boosting()
    proved(model, (rows * 0.0, target))
    assert set(model.predict(rows * 0.0)) == {0}
