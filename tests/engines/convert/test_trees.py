from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier
from tests.support.budget import IS_CI

from windlass.engines.convert.estimators.trees import float64_thresholds


def small(kind: Any, **options: Any) -> Any:
    return kind(n_estimators=20, random_state=0, **options)


CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    DecisionTreeClassifier(max_depth=2, random_state=0),
    DecisionTreeClassifier(class_weight={0: 0.3}, min_samples_leaf=7, random_state=0),
    ExtraTreeClassifier(random_state=0),
    small(RandomForestClassifier),
    small(RandomForestClassifier, max_depth=3),
    small(RandomForestClassifier, criterion="entropy", min_samples_leaf=5),
    small(ExtraTreesClassifier, bootstrap=True),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_classifiers_are_equal_in_every_bit(
    model: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    pipeline = make_pipeline(StandardScaler(), model)
    report = convert_exactly(pipeline, request.getfixturevalue(table)).report
    assert report.max_difference == 0.0


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_regression_forests(kind: Any, diabetes: Any, convert_exactly: Any) -> None:
    assert convert_exactly(small(kind), diabetes).report.max_difference == 0.0


def test_regression_tree(diabetes: Any, convert_exactly: Any) -> None:
    assert (
        convert_exactly(DecisionTreeRegressor(random_state=0), diabetes).report.max_difference
        == 0.0
    )


@pytest.mark.parametrize("seed", range(3 if IS_CI else 1))
def test_scaler_and_300_trees(seed: Any, iris: Any, convert_exactly: Any) -> None:
    # Plain conversion moved 132 of 7,150 rows of this one, by up to 0.077.
    forest = RandomForestClassifier(300, random_state=seed)
    report = convert_exactly(make_pipeline(StandardScaler(), forest), iris, seed=seed).report
    assert report.max_difference == 0.0


@pytest.mark.parametrize("kind", [RandomForestClassifier, DecisionTreeClassifier])
def test_missing_values(kind: Any, mixed: Any, convert_exactly: Any) -> None:
    rows, target = mixed
    convert_exactly(kind(max_depth=6, random_state=0), (rows[["age", "income", "since"]], target))


def test_ties_go_to_the_first_class(convert_exactly: Any) -> None:

    # Every leaf holds both classes equally often, so every row is a tie.
    rows = pd.DataFrame({"x": np.repeat(np.arange(40.0), 4)})
    target = np.tile([1, 0, 2, 1], 40)[:160]
    forest = RandomForestClassifier(12, max_depth=2, random_state=3)
    assert convert_exactly(forest, (rows, target)).report.max_difference == 0.0


def test_a_tree_of_one_leaf(iris: Any, convert_exactly: Any) -> None:
    rows, target = iris
    convert_exactly(DecisionTreeClassifier(min_samples_leaf=80), (rows, target))


def test_several_targets_are_native(diabetes: Any, native_reason: Any) -> None:
    rows, target = diabetes
    two = target.to_frame().assign(other=target * 2)
    assert native_reason(small(RandomForestRegressor), (rows, two)).endswith("several targets")


finite = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e38, max_value=1e38)


@given(finite, st.integers(-3, 3), st.booleans())
def test_float64_thresholds_split_where_float32_rows_do(
    threshold: Any, ulps: Any, near: Any
) -> None:
    folded = float64_thresholds(np.array([threshold]))[0]
    base = folded if near else float(np.float32(threshold))
    row = base
    for _ in range(abs(ulps)):
        row = float(np.nextafter(row, np.inf if ulps > 0 else -np.inf))
    assert (float(np.float32(row)) <= threshold) == (row <= folded)
