from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, KBinsDiscretizer, QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.support.budget import IS_CI

DISCRETIZERS = [
    KBinsDiscretizer(quantile_method="averaged_inverted_cdf"),
    KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"),
    KBinsDiscretizer([2, 9, 3, 5], encode="ordinal", strategy="kmeans"),
    Binarizer(threshold=3.0),
    Binarizer(),
]


@pytest.mark.parametrize("step", DISCRETIZERS, ids=repr)
@pytest.mark.parametrize("scaler", [[], [StandardScaler()]] if IS_CI else [[]], ids=len)
def test_discretizers(step: Any, scaler: Any, iris: Any, convert_exactly: Any) -> None:
    rows, _ = iris
    target = np.random.default_rng(0).integers(0, 3, len(rows))
    tree = DecisionTreeClassifier(random_state=0)
    convert_exactly(make_pipeline(*scaler, step, tree), (rows, target))


@pytest.mark.filterwarnings("ignore:Feature 1 is constant")
def test_a_constant_column_has_one_bin(iris: Any, convert_exactly: Any) -> None:
    rows, target = iris
    rows = rows.assign(**{rows.columns[1]: 7.0})
    step = KBinsDiscretizer(encode="onehot-dense", strategy="uniform")
    convert_exactly(make_pipeline(step, DecisionTreeClassifier(random_state=0)), (rows, target))


@pytest.mark.parametrize("step", DISCRETIZERS, ids=repr)
def test_edges_and_their_neighbours(step: Any, iris: Any, compare_rows: Any) -> None:
    rows, _ = iris
    model = make_pipeline(step, LogisticRegression(max_iter=200))
    step = model.fit(*iris)[0]
    edges = [step.threshold] if isinstance(step, Binarizer) else np.unique([*step.bin_edges_[1]])
    points = [float(np.nextafter(edge, limit)) for edge in edges for limit in (edge, -9, 99)]
    points += [0.0, -0.0, -1e300, 1e300, np.nan]
    special = pd.DataFrame(np.ones((len(points), 4)), columns=rows.columns)
    special.iloc[:, 1] = points
    assert compare_rows(model, iris, special) == 1


def test_bins_in_float32_are_native(iris: Any, native_reason: Any) -> None:
    model = make_pipeline(KBinsDiscretizer(dtype=np.float32), LogisticRegression())
    assert native_reason(model, iris) == "KBinsDiscretizer: dtype=float32 is not converted"


@pytest.mark.parametrize(
    ("count", "output"), [(2, "uniform"), (50, "normal"), *([(150, "uniform")] if IS_CI else [])]
)
def test_quantiles(
    count: Any, output: Any, iris: Any, convert_exactly: Any, compare_rows: Any
) -> None:
    rows, _ = iris
    table = (rows, np.random.default_rng(0).integers(0, 3, len(rows)))
    step = QuantileTransformer(n_quantiles=count, output_distribution=output)
    convert_exactly(make_pipeline(step, DecisionTreeClassifier(random_state=0)), table)
    model = make_pipeline(step, LogisticRegression())
    quantiles = np.unique(step.fit(rows).quantiles_[:, 1])[:9]
    points = [float(np.nextafter(q, limit)) for q in quantiles for limit in (q, -9, 99)]
    points += [0.0, -1e300, 1e300, np.nan]
    special = pd.DataFrame(np.full((len(points), 4), 2.0), columns=rows.columns)
    special.iloc[:, 1] = points
    assert compare_rows(model, iris, special) == 1


@pytest.mark.parametrize("output", ["uniform", "normal"])
def test_quantiles_that_are_equal_at_the_ends(output: Any, compare_rows: Any) -> None:
    rows = pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0, 1.0], "y": [2.0] * 5})
    step = QuantileTransformer(n_quantiles=5, output_distribution=output)
    model = make_pipeline(step, LinearRegression())
    values = [-9.0, 0.0, 5e-8, 2e-7, 0.5, 1.0 - 5e-8, 1.0, 1.2, 9.0]
    special = pd.DataFrame({"x": values, "y": values[::-1]})
    assert compare_rows(model, (rows, np.arange(5)), special) == 0


def test_a_single_quantile_is_native(iris: Any, native_reason: Any) -> None:
    model = make_pipeline(QuantileTransformer(n_quantiles=1), LogisticRegression())
    assert "4 quantiles" in native_reason(model, iris)
