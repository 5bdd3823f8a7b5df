from typing import Any

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as SamplingPipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

ONE_HOT = OneHotEncoder(handle_unknown="ignore")
NUMBERS = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
CHOICES = [
    [("n", NUMBERS, ["age", "income", "member", "since"]), ("w", ONE_HOT, ["colour", "job"])],
    [("w", ONE_HOT, [4, 1]), ("n", NUMBERS, slice(2, 4))],
    [("n", NUMBERS, make_column_selector(dtype_include=float)), ("x", "drop", ["job"])],
    [("w", ONE_HOT, [False, True, False, False, True, False]), ("p", "passthrough", ["since"])],
    [("n", NUMBERS, lambda frame: ["income"]), ("none", ONE_HOT, [])],
]


@pytest.mark.parametrize("choice", CHOICES, ids=range(len(CHOICES)))
def test_column_choices(choice: Any, mixed: Any, convert_exactly: Any) -> None:
    model = make_pipeline(ColumnTransformer(choice), DecisionTreeClassifier(random_state=0))
    convert_exactly(model, mixed)


def test_remainders_and_weights(mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    choice = ColumnTransformer(
        [("a", SimpleImputer(), ["age"])],
        remainder=make_pipeline(SimpleImputer(), RobustScaler()),
        transformer_weights={"a": 0.37},
    )
    table = (rows[["since", "age", "income"]], target)
    convert_exactly(make_pipeline(choice, DecisionTreeClassifier(random_state=0)), table)


def test_side_by_side(iris: Any, convert_exactly: Any) -> None:
    union = FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler()), ("c", "passthrough")])
    convert_exactly(make_pipeline(union, DecisionTreeClassifier(random_state=0)), iris)


def test_selection(cancer: Any, convert_exactly: Any) -> None:
    steps = (StandardScaler(), VarianceThreshold(), SelectKBest(k=4), LogisticRegression())
    convert_exactly(make_pipeline(*steps), cancer)


def test_a_search(iris: Any, convert_exactly: Any) -> None:
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [0.1, 1.0]}, cv=3)
    convert_exactly(make_pipeline(StandardScaler(), search), iris)


@pytest.mark.parametrize(
    "sampler", [SMOTE(random_state=0), RandomUnderSampler(random_state=0), "passthrough"], ids=str
)
def test_samplers_do_nothing_when_predicting(
    sampler: Any, cancer: Any, convert_exactly: Any
) -> None:
    rows, target = cancer
    rows = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.05)
    steps = [
        ("nulls", SimpleImputer(strategy="constant", fill_value=0.0)),
        ("sampler", sampler),
        ("forest", RandomForestClassifier(5, random_state=0)),
    ]
    convert_exactly(SamplingPipeline(steps), (rows, target))


@pytest.mark.parametrize(
    "target",
    [
        {"func": np.log1p, "inverse_func": np.expm1},
        {"func": np.log, "inverse_func": np.exp},
        {"transformer": StandardScaler()},
    ],
    ids=["log1p", "log", "standard"],
)
def test_a_transformed_target(target: Any, diabetes: Any, convert_exactly: Any) -> None:
    model = make_pipeline(StandardScaler(), Ridge())
    convert_exactly(TransformedTargetRegressor(model, **target), diabetes)


def test_an_infinite_target_is_rejected(iris: Any, compare_rows: Any) -> None:
    model = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1)
    rows = iris[0][:2].assign(**{iris[0].columns[1]: [-1.7e308, 1.7e308]})
    assert compare_rows(model, (iris[0] * 1e-9, iris[1]), rows) == 2


def test_another_inverse_is_native(diabetes: Any, native_reason: Any) -> None:
    model = TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler())
    assert "inverse of MinMaxScaler" in native_reason(model, diabetes)


def test_rows_outside_a_function_are_drawn_again(diabetes: Any, convert_exactly: Any) -> None:
    # The logarithm of a negative number is NaN, which a linear model refuses.
    rows, target = diabetes
    model = make_pipeline(FunctionTransformer(np.log), Ridge())
    convert_exactly(model, (rows - rows.min() + 1e-3, target))
