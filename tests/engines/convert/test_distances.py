from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from tests.support.budget import IS_CI

from windlass.engines.convert.estimators import distances

CLUSTERINGS = [
    KMeans(3, n_init=1, random_state=0),
    MiniBatchKMeans(4, random_state=0),
    BisectingKMeans(5, random_state=0),
]


@pytest.mark.parametrize("clustering", CLUSTERINGS if IS_CI else CLUSTERINGS[:1], ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"])  # 4 and 30 columns
def test_a_tree_sees_the_same_bits(
    clustering: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    rows, _ = request.getfixturevalue(table)
    target = np.random.default_rng(0).integers(0, 3, len(rows))
    tree = DecisionTreeClassifier(max_depth=12, random_state=0)
    convert_exactly(make_pipeline(clustering, tree), (rows, target))


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 17, 24] if IS_CI else [2, 9, 17])
def test_any_number_of_columns(columns: Any, cancer: Any, convert_exactly: Any) -> None:
    # Far from zero the formula cancels: another order of its sums gives another distance.
    rows, _ = cancer
    table = (rows.iloc[:, :columns] + 1e6, np.arange(len(rows)))
    tree = DecisionTreeRegressor(max_depth=9, random_state=0)
    convert_exactly(make_pipeline(KMeans(6, n_init=1, random_state=0), tree), table)


def test_another_order_of_the_sums_is_caught(
    cancer: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "_order_of_sums", lambda width: list(range(width)))
    rows, _ = cancer
    table = (rows.iloc[:, :9] + 1e6, np.arange(len(rows)))
    tree = DecisionTreeRegressor(random_state=0)
    model = make_pipeline(KMeans(60, n_init=1, random_state=0), tree)
    assert "rows moved" in native_reason(model, table)


def test_rows_at_the_centers_and_between_them(iris: Any, compare_rows: Any) -> None:
    rows, _ = iris
    model = make_pipeline(
        StandardScaler(), KMeans(2, n_init=1, random_state=0), LogisticRegression()
    )
    model.fit(*iris)
    centers = model[0].inverse_transform(model[1].cluster_centers_)
    special = np.vstack([centers, centers.mean(axis=0), np.zeros(4), np.full(4, 1e9)])
    assert compare_rows(model, iris, pd.DataFrame(special, columns=rows.columns)) == 0


def test_distances_that_overflow(iris: Any, compare_rows: Any) -> None:
    rows = pd.DataFrame(np.diag([1e100, -1e200, 1e300, 0.0]), columns=iris[0].columns)
    assert compare_rows(make_pipeline(KMeans(2, n_init=1), Ridge()), iris, rows) == 2
