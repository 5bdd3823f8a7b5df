from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from windlass.engines.convert import FittedEstimator, convert
from windlass.engines.convert.compiler import ClassifierOutput
from windlass.engines.convert.estimators import linear, scaling, trees

FLOAT, DOUBLE = 1, 11


def test_float32_standardisation_is_caught(
    iris: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This is what plain conversion does.
    def single(graph: Any, step: Any, columns: Any, *, shift: Any, scale: Any) -> Any:
        name = graph.node("Cast", graph.numeric_tensor(columns, step), to=FLOAT)
        for op, value in (("Sub", shift), ("Div", scale)):
            name = graph.node(op, name, graph.node("Cast", graph.constant(value), to=FLOAT))
        return graph.tensor_columns(graph.node("Cast", name, to=DOUBLE), len(columns))

    monkeypatch.setattr(scaling, "_shift_and_divide", single)
    forest = RandomForestClassifier(50, random_state=0)
    reason = native_reason(make_pipeline(StandardScaler(), forest), iris)
    assert reason.startswith("RandomForestClassifier: ")
    assert "rows moved, by up to" in reason


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_threshold_one_step_off_is_caught(
    shift: Any, iris: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = trees.float64_thresholds
    monkeypatch.setattr(
        trees, "float64_thresholds", lambda t: np.nextafter(exact(t), shift * np.inf)
    )
    forest = RandomForestClassifier(5, random_state=0)
    assert native_reason(forest, iris) == "a threshold of a tree has no equal in float64"
    # the comparison finds it too
    monkeypatch.setattr(trees, "require_equal_comparisons", lambda *_: None)
    assert "rows moved" in native_reason(forest, iris)


def test_a_wrong_coefficient_is_caught(
    iris: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = linear.affine
    monkeypatch.setattr(linear, "affine", lambda g, name, w, b: exact(g, name, w * (1 + 1e-5), b))
    assert "rows moved" in native_reason(LogisticRegression(max_iter=1000), iris)


def test_ties_broken_differently_are_caught(
    iris: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: Any, probabilities: str) -> ClassifierOutput:
        label = graph.node("ArgMax", probabilities, axis=1, keepdims=0, select_last_index=1)
        return ClassifierOutput(label, probabilities)

    monkeypatch.setattr(ClassifierOutput, "from_probabilities", wrong)
    rows, _ = iris
    table = (rows * 0.0, np.tile([0, 1, 2], 50))
    assert "labels changed" in native_reason(DecisionTreeClassifier(), table)


def test_rows_that_it_refuses_are_counted(iris: Any) -> None:
    rows, target = iris
    fitted = FittedEstimator(
        LogisticRegression(max_iter=1000).fit(rows, target), tuple(rows), frozenset(), (0, 1, 2)
    )
    report = convert(fitted, rows.assign(**{rows.columns[0]: np.nan}), seed=0).report
    assert report.engine == "native"
    assert str(report.reason).startswith("LogisticRegression: it predicts only ")
