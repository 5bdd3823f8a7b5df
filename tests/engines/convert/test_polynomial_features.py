from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.support.budget import IS_CI

OPTIONS: list[dict[str, Any]] = [
    {},
    {"degree": 0},
    {"degree": 1, "include_bias": False},
    {"degree": 4},
    {"degree": (0, 2)},
    {"degree": (2, 2), "include_bias": False},
    {"degree": (2, 3)},
    {"degree": 9, "interaction_only": True},
    {"degree": (3, 9), "interaction_only": True},
]


@pytest.mark.parametrize("options", OPTIONS if IS_CI else OPTIONS[::2], ids=repr)
def test_a_tree_sees_the_same_bits(options: Any, iris: Any, convert_exactly: Any) -> None:
    rows, _ = iris
    target = np.random.default_rng(0).integers(0, 3, len(rows))
    model = make_pipeline(PolynomialFeatures(**options), DecisionTreeClassifier(random_state=0))
    convert_exactly(model, (rows, target))


def test_many_products(cancer: Any, convert_exactly: Any) -> None:
    steps = (StandardScaler(), PolynomialFeatures(), LogisticRegression(max_iter=200))
    convert_exactly(make_pipeline(*steps), cancer)


def test_products_that_overflow(iris: Any, compare_rows: Any) -> None:
    rows = pd.DataFrame(np.diag([1e100, -1e200, 1e300, 0.0]), columns=iris[0].columns)
    assert compare_rows(make_pipeline(PolynomialFeatures(), Ridge()), iris, rows) == 2
