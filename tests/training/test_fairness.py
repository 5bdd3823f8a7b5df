import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from windlass.core.batch import Prediction
from windlass.training.fairness import fairness_by_slice


def _of(values: list[str | None], truth: list[int], shares: list[float]) -> list[dict[str, object]]:
    positive = np.array(shares)
    prediction = Prediction(
        (positive >= 0.5).astype(np.int64), np.column_stack([1 - positive, positive])
    )
    table = pa.table({"gender": pa.array(values, pa.string())})
    slices: list[dict[str, object]] = fairness_by_slice(
        ["gender"], table, np.array(truth), prediction
    )["gender"]
    return slices


def test_every_value_has_a_line_with_its_rates() -> None:
    values: list[str | None] = ["M", "F", "F", "M", "F", None]
    truth, shares = [1, 0, 1, 0, 1, 0], [0.9, 0.7, 0.6, 0.2, 0.1, 0.4]
    female, male, missing = _of(values, truth, shares)
    assert female == {
        "value": "F",
        "rows": 3,
        "base_rate": pytest.approx(2 / 3),
        "mean_probability": pytest.approx(1.4 / 3),
        "predicted_positive": pytest.approx(2 / 3),
        "recall": pytest.approx(0.5),
        "false_positive_rate": pytest.approx(1.0),
        "roc_auc": pytest.approx(0.0),
    }
    assert (male["value"], male["roc_auc"]) == ("M", 1.0)
    assert missing == {
        "value": "missing",
        "rows": 1,
        "base_rate": 0.0,
        "mean_probability": 0.4,
        "predicted_positive": 0.0,
        "recall": None,
        "false_positive_rate": 0.0,
        "roc_auc": None,
    }


def test_rates_are_scikit_learns() -> None:
    random = np.random.default_rng(4)
    values = random.choice(["a", "b", "c"], 600)
    truth, shares = random.integers(0, 2, 600), random.random(600)
    for measured in _of(values.tolist(), truth.tolist(), shares.tolist()):
        rows = values == measured["value"]
        assert measured["recall"] == pytest.approx(recall_score(truth[rows], shares[rows] >= 0.5))
        assert measured["roc_auc"] == pytest.approx(roc_auc_score(truth[rows], shares[rows]))
