"""Anomaly scores: thresholds, and labels that are known of some rows only."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from tests.support.truth_columns import Columns

from windlass.core.batch import Prediction
from windlass.core.bundle import read_target
from windlass.core.targets.anomaly_score import AnomalyScore
from windlass.errors import DataError, ParameterError, ProjectError

NAN = float("nan")
ROWS = np.random.default_rng(0).normal(size=(200, 2))


def _scores(*values: float) -> Prediction:
    return Prediction(values=np.array(values))


def test_labels_may_be_unknown_or_absent() -> None:
    target = AnomalyScore("fraud")
    truth = target.read(Columns(fraud=[True, False, None, 1, 0, 1.0]))
    np.testing.assert_array_equal(truth, [1, 0, NAN, 1, 0, 1])
    assert np.isnan(target.read(Columns(other=[1, 2]))).tolist() == [True, True]
    for label in ("yes", -1, 0.5):
        with pytest.raises(DataError, match="1 of 2 rows hold neither true, false"):
            target.read(Columns(fraud=[label, None]))


def test_a_declared_share_of_the_training_rows_is_above_the_threshold() -> None:
    model = IsolationForest(n_estimators=20, random_state=0).fit(ROWS)
    target = AnomalyScore("fraud", contamination=0.05)
    prediction = target.predictor(model)(ROWS)
    learned = target.learn(model, lambda: prediction)
    assert learned.evaluate(np.full(200, NAN), prediction)["flagged_share"] == 0.05
    assert read_target(learned.record()) == learned
    assert learned.record().compared() == target.record().compared()


def test_without_a_share_the_estimators_own_threshold_counts() -> None:
    model = IsolationForest(n_estimators=20, contamination=0.1, random_state=0).fit(ROWS)
    target = AnomalyScore("fraud")
    prediction = target.predictor(model)(ROWS)
    learned = target.learn(model, lambda: prediction)
    flags = [answer["is_anomaly"] for answer in learned.row_answers(prediction)]
    assert flags == (model.predict(ROWS) == -1).tolist()
    assert learned.count(prediction) == (180, 20)
    with pytest.raises(ParameterError, match=r"KernelDensity has no offset_.*contamination"):
        target.learn(KernelDensity().fit(ROWS), lambda: prediction)


def test_an_estimator_without_scores_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"no score_samples.*novelty=True"):
        AnomalyScore().check_fitted(LocalOutlierFactor().fit(ROWS), "lof")


def test_metrics_are_of_the_rows_with_labels() -> None:
    truth = np.array([1, 0, NAN, 0, 1, NAN])
    prediction = _scores(0.9, 0.2, 0.99, 0.7, 0.6, 0.1)
    target = AnomalyScore("fraud", threshold=0.65)
    metrics = target.evaluate(truth, prediction)
    labels, scores = [1, 0, 0, 1], [0.9, 0.2, 0.7, 0.6]
    assert metrics == {
        "flagged_share": 0.5,
        "labelled_rows": 4.0,
        "roc_auc": roc_auc_score(labels, scores),
        "average_precision": pytest.approx(average_precision_score(labels, scores)),
        "precision": 0.5,
        "recall": 0.5,
    }
    assert set(metrics) == set(target.metric_names())
    assert target.confusion(truth, prediction) == {
        "labels": [False, True],
        "matrix": [[1, 1], [1, 1]],
    }
    for metric in target.compared_metrics():
        assert metric.units(truth) == 4
        everything = metric.resample(truth, prediction)(np.arange(4))
        assert everything == pytest.approx(metric.value(truth, prediction))


def test_without_labels_there_are_no_metrics_of_them() -> None:
    target = AnomalyScore("fraud", threshold=0.5)
    metrics = target.evaluate(np.array([NAN, NAN]), _scores(0.9, 0.1))
    assert metrics == {"flagged_share": 0.5, "labelled_rows": 0.0}
    assert target.confusion(np.array([NAN, NAN]), _scores(0.9, 0.1)) is None
    assert all(metric.units(np.array([NAN, NAN])) == 0 for metric in target.compared_metrics())


@pytest.mark.parametrize("share", [0.0, 0.6, -1.0])
def test_an_impossible_share(share: Any) -> None:
    with pytest.raises(ProjectError, match="contamination"):
        AnomalyScore("fraud", contamination=share)
