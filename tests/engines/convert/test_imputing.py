from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["age", "income", "member"]


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_numbers(strategy: Any, indicator: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    imputer = SimpleImputer(strategy=strategy, add_indicator=indicator)
    model = make_pipeline(imputer, StandardScaler(), LogisticRegression())
    convert_exactly(model, (rows[NUMBERS], target))


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_text(strategy: Any, indicator: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    imputer = SimpleImputer(strategy=strategy, add_indicator=indicator, fill_value="none")
    model = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    convert_exactly(model, (rows[["colour", "job"]], target))


def test_numbers_and_text_together(mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    imputer = SimpleImputer(strategy="most_frequent")
    model = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    convert_exactly(model, (rows[["member", "colour", "age", "job"]], target))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.filterwarnings("ignore:Skipping features")
def test_columns_without_a_value(keep: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    rows = rows[["age", "member"]].assign(nothing=np.nan)[["age", "nothing", "member"]]
    model = make_pipeline(SimpleImputer(keep_empty_features=keep), LogisticRegression())
    convert_exactly(model, (rows, target))


def test_another_missing_value(iris: Any, convert_exactly: Any) -> None:
    model = make_pipeline(SimpleImputer(missing_values=0.2), LogisticRegression(max_iter=1000))
    convert_exactly(model, iris)
