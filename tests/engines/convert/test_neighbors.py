from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSIFIERS = [
    KNeighborsClassifier(),
    KNeighborsClassifier(8, weights="distance"),
    KNeighborsClassifier(1),
    KNeighborsClassifier(3, p=1),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
def test_classifiers(model: Any, cancer: Any, convert_exactly: Any) -> None:
    rows, target = cancer
    convert_exactly(make_pipeline(StandardScaler(), model), (rows.iloc[:, :12], target))


def test_many_columns(cancer: Any, convert_exactly: Any) -> None:
    model = KNeighborsClassifier(algorithm="kd_tree")
    convert_exactly(make_pipeline(StandardScaler(), model), cancer)


@pytest.mark.parametrize("model", [KNeighborsRegressor(), KNeighborsRegressor(9)], ids=repr)
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(make_pipeline(StandardScaler(), model), diabetes)


def test_many_rows_are_native(iris: Any, native_reason: Any) -> None:
    rows, target = iris
    many = (pd.concat([rows] * 40, ignore_index=True), pd.concat([target] * 40))
    assert native_reason(KNeighborsClassifier(), many).endswith("6,000 training rows are too many")


@pytest.mark.parametrize("algorithm", ["brute", "ball_tree"])
def test_other_searches_are_native(algorithm: Any, iris: Any, native_reason: Any) -> None:
    # Rounding decides which of two equally near rows is a neighbor, and the comparison may have no such row.
    model = KNeighborsRegressor(1, algorithm=algorithm)
    assert "known for algorithm='kd_tree' only" in native_reason(model, (iris[0], iris[1] * 0.0))


def test_other_metrics_are_native(iris: Any, native_reason: Any) -> None:
    assert "metric='cosine'" in native_reason(KNeighborsClassifier(metric="cosine"), iris)


def test_weights_by_a_function_are_native(iris: Any, native_reason: Any) -> None:
    assert "by a function" in native_reason(KNeighborsClassifier(weights=lambda d: d + 1), iris)


def test_at_an_infinite_distance_the_first_row_is_every_neighbor(
    iris: Any, compare_rows: Any
) -> None:
    rows, target = iris
    turned = (rows[::-1].reset_index(drop=True), np.arange(len(rows)) + target[::-1] * 10.0)
    far = rows[:3].assign(**{rows.columns[1]: [1e200, -1e300, 1e150]})
    assert compare_rows(KNeighborsRegressor(3), turned, far) == 0
