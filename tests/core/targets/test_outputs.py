"""Several outputs: their estimators, metrics and answers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC
from tests.support.truth_columns import Columns

from windlass.core.batch import Prediction
from windlass.core.bundle import read_target
from windlass.core.targets.classes import Classes
from windlass.core.targets.outputs import Outputs
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError, EngineError, ParameterError, ProjectError

FINDINGS = Outputs([Classes("fast", ["yes", "no"]), Classes("high", [False, True])])
PLANTS = Outputs([Classes("kind", ["a", "b"]), Quantity("width", unit="cm")])


def _table(rows: int = 80) -> tuple[pd.DataFrame, Any]:
    frame = pd.DataFrame({"x": np.linspace(-1, 1, rows), "y": np.linspace(3, -2, rows) ** 2})
    columns = Columns(fast=["yes", "no"] * (rows // 2), high=(frame.x > 0.3).tolist())
    return frame, FINDINGS.read(columns)


def _fit_to(frame: pd.DataFrame, truth: Any) -> Any:
    def fit_one(estimator: Any, encode: Any, _: Any = None) -> Any:
        return estimator.fit(frame, encode(truth))

    return fit_one


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5, random_state=0),  # predict_proba is a list
        MultiOutputClassifier(LogisticRegression()),
        ClassifierChain(LogisticRegression()),  # an array of each output's second class
        MLPClassifier((8,), solver="lbfgs", random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_probabilities_of_every_form_are_read(estimator: Any) -> None:
    frame, truth = _table()
    fitted = FINDINGS.fit(estimator, _fit_to(frame, truth))
    FINDINGS.check_fitted(fitted, "m")
    prediction = FINDINGS.predictor(fitted)(frame)
    predicted = np.asarray(fitted.predict(frame), np.int64)
    for index, part in enumerate(prediction.outputs):
        assert part.probabilities is not None
        assert part.labels is not None
        assert part.labels.tolist() == predicted[:, index].tolist()
        np.testing.assert_allclose(part.probabilities.sum(axis=1), 1)
    assert prediction.outputs[1].probabilities is not None
    likely = prediction.outputs[1].probabilities[:, 1]
    assert likely[truth[:, 1] == 1].mean() > likely[truth[:, 1] == 0].mean()


def test_an_estimator_for_each_output() -> None:
    frame, _ = _table()
    truth = PLANTS.read(Columns(kind=["a", "b"] * 40, width=[float(i) for i in range(80)]))
    built = {"width": LinearRegression(), "kind": LogisticRegression()}
    fitted = PLANTS.fit(built, _fit_to(frame, truth))
    assert list(fitted) == ["kind", "width"]
    prediction = PLANTS.predictor(fitted)(frame)
    answer = PLANTS.row_answer(prediction.slice(3, 4))
    assert answer["prediction"]["kind"] in ("a", "b")
    assert answer["prediction"]["width"] == pytest.approx(3.0)
    assert set(answer["class_probabilities"]) == {"kind"}
    assert PLANTS.row_answers(prediction)[3] == answer


@pytest.mark.parametrize(
    ("target", "built", "message"),
    [
        (PLANTS, LinearRegression(), "which no single estimator predicts. Return a dict"),
        (PLANTS, {"kind": LogisticRegression()}, "the outputs are 'kind', 'width'"),
        (PLANTS, {"kind": 1, "width": 2, "z": 3}, "the outputs are 'kind', 'width'"),
    ],
)
def test_estimators_that_do_not_fit_the_outputs(target: Outputs, built: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        target.fit(built, lambda *_: None)


def test_a_classifier_without_probabilities_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"has no predict_proba.*MultiOutputClassifier"):
        FINDINGS.check_fitted(object(), "m")
    with pytest.raises(ParameterError, match="Model m, output kind has no predict_proba"):
        PLANTS.check_fitted({"kind": LinearSVC(), "width": LinearRegression()}, "m")
    chain = MultiOutputClassifier(LinearSVC())  # has no predict_proba for its members
    with pytest.raises(ParameterError, match="no predict_proba"):
        FINDINGS.check_fitted(chain, "m")


def test_a_bundle_of_other_outputs_is_refused() -> None:
    with pytest.raises(EngineError, match="predicts kind, the bundle declares kind, width"):
        PLANTS.predictor({"kind": None})
    three = Outputs([Classes("fast", ["a", "b", "c"]), Classes("high", [False, True])])
    frame, truth = _table()
    fitted = FINDINGS.fit(RandomForestClassifier(3), _fit_to(frame, truth))
    with pytest.raises(EngineError, match="the pipeline knows"):
        three.predictor(fitted)(frame)


@pytest.mark.parametrize(
    "outputs", [[Quantity("a")], [Quantity("a"), Quantity("a")], [Quantity("a"), FINDINGS]]
)
def test_impossible_outputs(outputs: Any) -> None:
    with pytest.raises(ProjectError):
        Outputs(outputs)


def test_metrics_of_each_output_and_their_means() -> None:
    truth = np.array([[0, 0], [1, 1], [0, 1], [1, 0]], np.float64)
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    fast = Prediction(shares.argmax(axis=1), shares)
    prediction = Prediction(outputs=(fast, Prediction(np.array([0, 1, 1, 1]), shares)))
    metrics = FINDINGS.evaluate(truth, prediction)
    assert set(metrics) == set(FINDINGS.metric_names())
    assert (metrics["fast_accuracy"], metrics["high_accuracy"]) == (0.75, 0.75)
    assert metrics["mean_accuracy"] == 0.75
    assert metrics["exact_match"] == 0.5
    compared = {metric.name: metric for metric in FINDINGS.compared_metrics()}
    rows = np.array([0, 1, 2, 3, 3, 0])
    for name, metric in compared.items():
        assert metric.value(truth, prediction) == pytest.approx(metrics[name])
        expected = metric.value(truth[rows], prediction.take(rows))
        assert metric.resample(truth, prediction)(rows) == pytest.approx(expected), name


def test_errors_in_different_units_have_no_mean() -> None:
    names = Outputs([Quantity("a", unit="cm"), Quantity("b", unit="g")]).metric_names()
    assert "mean_r2" in names
    assert "mean_mae" not in names
    assert "mean_mae" in Outputs([Quantity("a"), Quantity("b")]).metric_names()


def test_truths_that_were_not_declared_name_their_output() -> None:
    with pytest.raises(DataError, match=r"Target 'fast': 1 of 2 rows.*row 1: 'maybe'"):
        FINDINGS.read(Columns(fast=["yes", "maybe"], high=[True, False]))


def test_a_record_gives_the_target_back() -> None:
    for target in (FINDINGS, PLANTS):
        assert read_target(target.record()) == target
