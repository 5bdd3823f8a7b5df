from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(feature_range=(-1, 2)),
    MinMaxScaler(clip=True),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False),
    FunctionTransformer(),
    FunctionTransformer(np.sqrt),
    FunctionTransformer(np.log1p),
    FunctionTransformer(np.expm1),
    Normalizer(),
    Normalizer("l1"),
    Normalizer("max"),
]


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_a_tree_sees_the_same_bits(scaler: Any, iris: Any, convert_exactly: Any) -> None:
    # A tree on its own splits amplifies the smallest difference to a whole class.
    rows, _ = iris
    target = np.random.default_rng(0).integers(0, 3, len(rows))
    convert_exactly(make_pipeline(scaler, DecisionTreeClassifier(random_state=0)), (rows, target))


@pytest.mark.parametrize("whiten", [False, True])
def test_pca(whiten: Any, cancer: Any, convert_exactly: Any) -> None:
    parts = (StandardScaler(), PCA(5, whiten=whiten, random_state=0), LogisticRegression())
    convert_exactly(make_pipeline(*parts), cancer)


@pytest.mark.parametrize("solver", ["svd", "eigen"])
@pytest.mark.parametrize("count", [None, 1])
def test_linear_discriminants(solver: Any, count: Any, iris: Any, convert_exactly: Any) -> None:
    step = LinearDiscriminantAnalysis(solver=solver, n_components=count)
    convert_exactly(make_pipeline(step, DecisionTreeClassifier(random_state=0)), iris)


def test_an_unknown_function_is_named(iris: Any, native_reason: Any) -> None:
    model = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression(max_iter=1000))
    assert (
        native_reason(model, iris)
        == "FunctionTransformer: the function 'cbrt' has no ONNX counterpart"
    )


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_a_row_of_zeros_has_no_norm(norm: Any, iris: Any, compare_rows: Any) -> None:
    firsts = [0.0, -0.0, 1e-17, 2e-15, 3e-15, -1.0, 1e200, np.nan]
    rows = pd.DataFrame(np.zeros((len(firsts), 4)), columns=iris[0].columns)
    rows.iloc[:, 0] = firsts
    model = make_pipeline(Normalizer(norm), LogisticRegression(max_iter=1000))
    assert compare_rows(model, iris, rows) == 1


@pytest.mark.parametrize("function", [np.log1p, np.expm1])
def test_functions_near_zero(function: Any, iris: Any, convert_exactly: Any) -> None:
    # Scaled to one, the digits that ``log(1 + x)`` loses would be seen.
    rows, target = iris
    steps = (FunctionTransformer(function), StandardScaler(), LogisticRegression())
    convert_exactly(make_pipeline(*steps), (rows * 1e-12, target))


@pytest.mark.parametrize(
    "step",
    [StandardScaler(), MinMaxScaler(clip=True), SimpleImputer(), PowerTransformer()],
    ids=repr,
)
def test_an_infinity_that_a_step_rejects_is_not_predicted(
    step: Any, iris: Any, compare_rows: Any
) -> None:
    # the model by itself predicts infinity, and a clipped infinity is a number
    model = HistGradientBoostingClassifier(max_iter=2)
    rows = iris[0][:2].assign(**{iris[0].columns[1]: [1.0, 1000.0]})
    steps = (FunctionTransformer(np.exp), step, model)
    assert compare_rows(make_pipeline(*steps), iris, rows) == 1
    assert compare_rows(make_pipeline(steps[0], model), iris, rows) == 0
