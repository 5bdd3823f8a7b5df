"""Estimators over a kernel with training rows."""

from typing import Any

import pytest
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

REGRESSORS = [
    KernelRidge(),
    KernelRidge(kernel="rbf", gamma=0.1),
    KernelRidge(kernel="poly", degree=2, alpha=1000.0),
    GaussianProcessRegressor(
        ConstantKernel(2.0) * RBF(3.0) + WhiteKernel(1.0), optimizer=None, normalize_y=True
    ),
]
STEPS = [
    KernelPCA(2),
    KernelPCA(2, kernel="rbf"),
    KernelPCA(2, kernel="sigmoid", gamma=0.01),
    Nystroem(n_components=6, random_state=0),
    Nystroem(kernel="poly", degree=2, n_components=6, random_state=0),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=repr)
def test_regressors(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    rows, target = diabetes
    convert_exactly(make_pipeline(StandardScaler(), model), (rows[:150], target[:150]), limit=1.0)


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_transformers(step: Any, iris: Any, convert_exactly: Any) -> None:
    model = make_pipeline(StandardScaler(), step, LogisticRegression(max_iter=500))
    convert_exactly(model, iris, limit=20.0)


@pytest.mark.parametrize("kind", [LabelPropagation, LabelSpreading])
def test_label_propagation(kind: Any, iris: Any, convert_exactly: Any) -> None:
    convert_exactly(make_pipeline(StandardScaler(), kind(gamma=1.0)), iris, limit=20.0)


def test_other_kernels_are_native(diabetes: Any, native_reason: Any) -> None:
    rows, target = diabetes
    table = rows[:80], target[:80]
    assert "kernel='laplacian'" in native_reason(KernelRidge(kernel="laplacian"), table)
    process = GaussianProcessRegressor(Matern(), optimizer=None)
    assert "Matern is not converted" in native_reason(process, table)
