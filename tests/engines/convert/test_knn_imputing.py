from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import KNNImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tests.support.budget import IS_CI

from windlass.engines.convert import Conversion

OPTIONS: list[dict[str, Any]] = [
    {},
    {"n_neighbors": 1, "weights": "distance"},
    {"n_neighbors": 9, "weights": "distance", "add_indicator": True},
    {"n_neighbors": 1000, "keep_empty_features": True},
]


@pytest.fixture
def convert_exactly(convert_exactly: Callable[..., Conversion]) -> Callable[..., Conversion]:
    return partial(convert_exactly, limit=1e4)


@pytest.fixture
def native_reason(native_reason: Callable[..., str]) -> Callable[..., str]:
    return partial(native_reason, limit=1e4)


@pytest.fixture
def compare_rows(compare_rows: Callable[..., int]) -> Callable[..., int]:
    return partial(compare_rows, limit=1e4)


@pytest.fixture(scope="module")
def gaps() -> Any:
    """Return 200 rows of five continuous columns with gaps, none of them in the last one."""
    draw = np.random.default_rng(0)
    numbers = draw.normal(3.0, [1.0, 5.0, 0.1, 100.0, 1.0], (200, 5))
    target = numbers @ [1.0, 0.3, 5.0, 0.01, -1.0]
    numbers[:, :4][draw.random((200, 4)) < 0.2] = np.nan
    return pd.DataFrame(numbers, columns=list("abcde")), target


# weights by distance may differ in the last bit, which a split can show: such a tree stays native
@pytest.mark.parametrize("options", [OPTIONS[0], *OPTIONS[2:]] if IS_CI else OPTIONS[2:], ids=repr)
def test_a_tree_sees_the_same_bits(options: Any, gaps: Any, convert_exactly: Any) -> None:
    tree = DecisionTreeRegressor(random_state=0)
    convert_exactly(make_pipeline(StandardScaler(), KNNImputer(**options), tree), gaps)


def test_another_missing_value(gaps: Any, convert_exactly: Any, compare_rows: Any) -> None:
    rows, target = gaps
    model = make_pipeline(KNNImputer(missing_values=-7), StandardScaler(), Ridge())
    convert_exactly(model, (rows.fillna(-7.0), target))
    special = pd.DataFrame(
        [[1.0, 2, 3, 4, 5], [-7.0] * 5, [np.nan, 2, 3, 4, 5]], columns=rows.columns
    )
    assert compare_rows(model, (rows.fillna(-7.0), target), special) == 1


@pytest.mark.parametrize(("keep", "indicator"), [(False, True), (True, False)])
def test_columns_without_a_value(
    keep: Any, indicator: Any, gaps: Any, convert_exactly: Any
) -> None:
    rows, target = gaps
    rows = rows.assign(b=np.nan, e=np.nan)
    imputer = KNNImputer(keep_empty_features=keep, add_indicator=indicator)
    convert_exactly(make_pipeline(imputer, StandardScaler(), Ridge()), (rows, target))


@pytest.mark.parametrize("options", OPTIONS if IS_CI else OPTIONS[1:3], ids=repr)
def test_rows_with_one_value_with_none_and_far_away(
    options: Any, gaps: Any, compare_rows: Any
) -> None:
    rows, _ = gaps
    single = np.where(np.eye(5) > 0, 3.0, np.nan)
    near = np.array(rows[rows.notna().all(axis=1)][:5])
    near[np.arange(5), np.arange(5)] = np.nan  # a distance of zero to a training row
    far = np.where(
        np.eye(5) > 0, np.nan, np.full((5, 1), 10.0) ** [[9], [100], [154], [200], [300]]
    )
    special = np.vstack([np.full((1, 5), np.nan), single, near, far, np.zeros((1, 5))])
    model = make_pipeline(KNNImputer(**options), StandardScaler(), Ridge())
    assert compare_rows(model, gaps, pd.DataFrame(special, columns=rows.columns)) == 0


def test_ties_between_equal_donors(gaps: Any, convert_exactly: Any) -> None:
    rows, target = gaps
    twice = (pd.concat([rows, rows], ignore_index=True), np.tile(target, 2))
    model = make_pipeline(KNNImputer(n_neighbors=3), StandardScaler(), Ridge())
    convert_exactly(model, twice)


def test_ties_between_donors_of_different_values_are_native(native_reason: Any) -> None:
    # Which of them numpy.argpartition takes depends on the processor.
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.integers(0, 4, (300, 2)).astype(float), columns=list("ab"))
    rows["c"] = draw.normal(size=300)
    rows.iloc[::7, 2] = np.nan
    reason = native_reason(make_pipeline(KNNImputer(), Ridge()), (rows, rows.a + rows.b))
    assert "rows moved" in reason


@pytest.mark.parametrize(("scale", "limit"), [(1.0, 1e6), (1e-4, 1e4)])
def test_where_far_donors_are_equally_near_it_is_native(
    scale: float, limit: float, gaps: Any, native_reason: Any
) -> None:
    # Far away the distances to all training rows are equal after rounding; the comparison may have no such row.
    rows, target = gaps
    model = make_pipeline(KNNImputer(), DecisionTreeRegressor())
    reason = native_reason(model, (rows.assign(a=rows.a * scale), target), limit=limit)
    assert reason.startswith("KNNImputer: a column may be 100,000 times the range of another")


@pytest.mark.parametrize(
    "options",
    [{"weights": lambda distances: distances}, {"metric": lambda first, second, **_: 1.0}],
    ids=["weights", "metric"],
)
def test_functions_are_native(options: Any, gaps: Any, native_reason: Any) -> None:
    reason = native_reason(make_pipeline(KNNImputer(**options), Ridge()), gaps)
    assert reason == "KNNImputer: a metric or weights by a function are not converted"


def test_many_rows_are_native(native_reason: Any) -> None:
    rows = pd.DataFrame(np.arange(12_000.0).reshape(6000, 2), columns=["a", "b"])
    reason = native_reason(make_pipeline(KNNImputer(), Ridge()), (rows, rows.a))
    assert reason == "KNNImputer: 6,000 training rows are too many"
