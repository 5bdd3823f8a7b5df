import sys
from typing import Any

import pytest
from sklearn.decomposition import NMF
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tests.support.child_process import run_python

COMMON = """
import sys, warnings
import numpy as np, pandas as pd
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from windlass.engines.convert import FittedEstimator, convert
data = load_iris(as_frame=True)
model = make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(data.data, data.target)
fitted = FittedEstimator(model, tuple(data.data), frozenset(), (0, 1, 2))
assert convert(fitted, data.data, seed=0).model
assert "skl2onnx" not in sys.modules
"""
ROOM = """
import sys
import windlass.engines.convert
assert not [name for name in sys.modules if name.startswith(("sklearn", "skl2onnx"))]
"""


@pytest.mark.parametrize("script", [COMMON, ROOM], ids=["common path", "room"])
def test_it_is_not_imported_before_it_is_needed(script: Any) -> None:
    run_python(script)


@pytest.mark.filterwarnings("ignore")
def test_classifiers_and_regressors(iris: Any, diabetes: Any, convert_exactly: Any) -> None:
    network = {"hidden_layer_sizes": (8,), "max_iter": 50, "random_state": 0}
    convert_exactly(make_pipeline(StandardScaler(), MLPClassifier(**network)), iris)
    convert_exactly(make_pipeline(StandardScaler(), MLPRegressor(**network)), diabetes)


def test_trees_in_float32_are_native(diabetes: Any, native_reason: Any) -> None:
    model = MultiOutputRegressor(DecisionTreeRegressor(max_depth=3))
    rows, target = diabetes
    reason = native_reason(model, (rows, target.to_frame()))
    assert reason == "MultiOutputRegressor: skl2onnx adds its trees up in float32"


def test_what_it_does_not_know_is_native(iris: Any, native_reason: Any) -> None:
    model = make_pipeline(NMF(n_components=3, random_state=0), LogisticRegression())
    assert native_reason(model, iris).startswith("NMF: skl2onnx: ")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_without_the_package_it_says_so(
    iris: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    assert "skl2onnx is not installed" in native_reason(MLPClassifier((3,), max_iter=5), iris)
