"""Transformers that project rows, before a linear model: equal, rejections included."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import Birch, FeatureAgglomeration
from sklearn.cross_decomposition import CCA, PLSRegression
from sklearn.decomposition import FactorAnalysis, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.kernel_approximation import AdditiveChi2Sampler, RBFSampler, SkewedChi2Sampler
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

STEPS = [
    AdditiveChi2Sampler(),
    AdditiveChi2Sampler(sample_steps=1),
    BernoulliRBM(3, n_iter=2, random_state=0),
    Birch(n_clusters=3),
    FactorAnalysis(2),
    FastICA(2, random_state=0),
    FastICA(whiten=False, random_state=0),
    FeatureAgglomeration(2),
    GaussianRandomProjection(2, random_state=0),
    IncrementalPCA(2, whiten=True),
    NeighborhoodComponentsAnalysis(2, max_iter=5, random_state=0),
    RBFSampler(n_components=5, random_state=0),
    SkewedChi2Sampler(n_components=5, random_state=0),
    SparseRandomProjection(2, dense_output=True, random_state=0),
    TruncatedSVD(2, random_state=0),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_before_a_linear_model(step: Any, iris: Any, convert_exactly: Any) -> None:
    model = LogisticRegression(max_iter=500)
    convert_exactly(make_pipeline(MinMaxScaler(clip=True), step, model), iris)


@pytest.mark.parametrize("kind", [PLSRegression, CCA])
def test_partial_least_squares_predicts(kind: Any, diabetes: Any, convert_exactly: Any) -> None:
    convert_exactly(kind(1), diabetes)


@pytest.mark.parametrize(
    "step", [AdditiveChi2Sampler(), SkewedChi2Sampler(random_state=0)], ids=repr
)
def test_what_has_no_logarithm_is_rejected(step: Any, iris: Any, compare_rows: Any) -> None:
    rows = pd.DataFrame([[0.0] * 4, [-1.0, 1, 1, 1], [-0.5, 1, 1, 1]], columns=iris[0].columns)
    model = make_pipeline(step, LogisticRegression(max_iter=500))
    assert compare_rows(model, iris, rows) >= 1


def test_another_pooling_is_native(iris: Any, native_reason: Any) -> None:
    model = make_pipeline(FeatureAgglomeration(2, pooling_func=np.max), LogisticRegression())
    assert "pooling_func" in native_reason(model, iris)
