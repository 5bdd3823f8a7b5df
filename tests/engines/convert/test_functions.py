from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer
from tests.support.budget import IS_CI

METHODS = ["box-cox", "yeo-johnson"]
SPECIAL = [0.0, -0.0, 1e-300, 1e-17, -1e-17, 1e-9, -1e-9, 1.0, -1.0, 1e3, -1e3, 1e200, -1e200]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("table", ["iris", "cancer"] if IS_CI else ["iris"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_powers_that_were_found(
    method: Any, standardize: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    rows, target = request.getfixturevalue(table)
    rows = rows.iloc[:, :6] + (1e-3 if method == "box-cox" else -2.0)
    step = PowerTransformer(method=method, standardize=standardize)
    convert_exactly(make_pipeline(step, LogisticRegression()), (rows, target))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "power", [0.0, 1e-17, 2.0, 2.0 - 1e-16, 1.0, -3.0, 5.0] if IS_CI else [0.0, 2.0]
)
def test_special_points_of_given_powers(
    method: Any, power: Any, iris: Any, compare_rows: Any
) -> None:
    rows, _ = iris
    target = rows.iloc[:, 0]
    step = PowerTransformer(method=method, standardize=False).fit(rows)
    step.lambdas_[:] = [power, 0.5, 1.0, 2.0]
    special = pd.DataFrame(np.ones((len(SPECIAL), 4)), columns=rows.columns)
    special.iloc[:, 0] = SPECIAL
    model = make_pipeline(FrozenEstimator(step), Ridge())
    rejected = compare_rows(model, (rows, target), special)
    assert rejected >= (7 if method == "box-cox" else 0)


def test_box_cox_takes_positive_numbers_and_missing_values(iris: Any, compare_rows: Any) -> None:
    # The classifier behind it would have an answer for NaN.
    rows, _ = iris
    model = make_pipeline(
        PowerTransformer(method="box-cox"), HistGradientBoostingClassifier(max_iter=3)
    )
    special = pd.DataFrame(np.ones((5, 4)), columns=rows.columns)
    special.iloc[:, 2] = [np.nan, 5e-324, 0.0, -1.0, -1e300]
    assert compare_rows(model, iris, special) == 3


def test_small_numbers_keep_their_digits(iris: Any, convert_exactly: Any) -> None:
    rows, target = iris
    model = make_pipeline(PowerTransformer(), LogisticRegression())
    convert_exactly(model, (rows * 1e-10, target))
