from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.support.budget import IS_CI

MODES = ["continue", "constant", "linear", "periodic", "error"]
DEGREES = [0, 1, 2, 3, 5]
# Outside CI each mode with one degree, and each degree with one mode.
COMBINATIONS = [
    (mode, degree) for mode in MODES for degree in DEGREES if (mode, degree) != ("constant", 0)
]
TRIED = (
    COMBINATIONS
    if IS_CI
    else [*zip(MODES, [0, 1, 2, 3, 5], strict=True), ("linear", 0), ("linear", 1)]
)
OPTIONS: list[dict[str, Any]] = [
    {"include_bias": False, "knots": "quantile"},
    {"n_knots": 2, "degree": 1},
    {"sparse_output": True},
    {"knots": np.array([[1.0, 1, 1, 1], [3, 2.5, 3, 2], [5, 4, 5, 4]]), "extrapolation": "linear"},
]


@pytest.fixture(scope="module")
def noise(iris: Any) -> Any:
    """Return the rows of Iris with targets that only the smallest differences explain."""
    return iris[0], np.random.default_rng(0).integers(0, 3, len(iris[0]))


@pytest.mark.parametrize(("mode", "degree"), TRIED)
def test_a_tree_sees_the_same_bits(
    mode: Any, degree: Any, noise: Any, convert_exactly: Any
) -> None:
    step = SplineTransformer(n_knots=6, degree=degree, extrapolation=mode)
    convert_exactly(make_pipeline(step, DecisionTreeClassifier(random_state=0)), noise)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options: Any, iris: Any, convert_exactly: Any) -> None:
    steps = (SplineTransformer(**options), LogisticRegression(max_iter=300))
    convert_exactly(make_pipeline(*steps), iris)


def test_scaled_columns(iris: Any, convert_exactly: Any) -> None:
    steps = (StandardScaler(), SplineTransformer(), LogisticRegression(max_iter=300))
    convert_exactly(make_pipeline(*steps), iris)


@pytest.mark.parametrize(("mode", "degree"), TRIED if IS_CI else TRIED[:5])
def test_knots_and_what_is_beyond_them(
    mode: Any, degree: Any, iris: Any, compare_rows: Any
) -> None:
    rows, _ = iris
    step = SplineTransformer(n_knots=6, degree=degree, extrapolation=mode)
    model = make_pipeline(step, LogisticRegression(max_iter=300)).fit(*iris)
    knots = step.bsplines_[1].t
    points = [float(np.nextafter(knot, limit)) for knot in knots for limit in (knot, -9, 99)]
    points += [0.0, -0.0, -50.0, 1e5, -1e100, 1e300, np.nan]
    special = pd.DataFrame(np.full((len(points), 4), 2.0), columns=rows.columns)
    special.iloc[:, 0], special.iloc[:, 1] = 5.0, points
    outside = sum(not knots[degree] <= point <= knots[-degree - 1] for point in points)
    rejected = compare_rows(model, iris, special)
    assert rejected == outside if mode == "error" else rejected >= 1


@pytest.mark.parametrize("mode", ["continue", "linear", "periodic"] if IS_CI else ["linear"])
def test_missing_values_become_zeros(mode: Any, noise: Any, convert_exactly: Any) -> None:
    rows, target = noise
    rows = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.1)
    step = SplineTransformer(extrapolation=mode, handle_missing="zeros")
    convert_exactly(make_pipeline(step, LogisticRegression(max_iter=300)), (rows, target))


def test_an_overflow_makes_a_column_missing(iris: Any, compare_rows: Any) -> None:
    # The classifier behind it has an answer for NaN, and another for infinity.
    model = make_pipeline(SplineTransformer(), HistGradientBoostingClassifier(max_iter=3))
    rows = pd.DataFrame(np.diag([1e200, -1e200, 1e300, 1e5]), columns=iris[0].columns)
    assert compare_rows(model, iris, rows) == 0


@pytest.mark.parametrize("mode", MODES if IS_CI else ["periodic"])
def test_a_constant_column(mode: Any, noise: Any, convert_exactly: Any) -> None:
    rows, target = noise
    rows = rows.assign(**{rows.columns[1]: 3.0})
    step = SplineTransformer(extrapolation=mode)
    convert_exactly(make_pipeline(step, DecisionTreeClassifier(random_state=0)), (rows, target))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"degree": 0, "extrapolation": "constant"}, "degree=0 with extrapolation='constant'"),
        ({"degree": 1, "n_knots": 2, "extrapolation": "linear"}, "too few knots"),
    ],
)
def test_what_scikit_learn_itself_gets_wrong_is_native(
    options: Any, reason: Any, iris: Any, native_reason: Any
) -> None:
    model = make_pipeline(SplineTransformer(**options), LogisticRegression(max_iter=300))
    assert reason in native_reason(model, iris)
