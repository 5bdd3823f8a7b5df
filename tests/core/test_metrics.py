from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from windlass.core import metrics
from windlass.core.evaluation_rules import CostMatrix
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.core.targets.target import Target

SEEDS = range(20)


def _two_classes(seed: int) -> tuple[Any, Any]:
    """Truth [n], and scores [n] of the second class with many ties or none."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, random.integers(10, 400))
    truth[:2] = [0, 1]
    return truth, np.round(0.6 * random.random(len(truth)) + 0.4 * truth, int(1 + seed % 8))


@pytest.mark.parametrize("seed", SEEDS)
def test_ranking_metrics_are_scikit_learns_also_in_ties(seed: int) -> None:
    truth, scores = _two_classes(seed)
    assert metrics.roc_auc(truth, scores) == pytest.approx(
        sk.roc_auc_score(truth, scores), abs=1e-14
    )
    assert metrics.average_precision(truth, scores) == sk.average_precision_score(truth, scores)


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_of_classes_are_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 6))
    truth, labels = random.integers(0, classes, (2, 200))
    truth[:classes] = labels[:classes] = range(classes)
    shares = random.dirichlet(np.ones(classes), 200)
    shares[0] = np.eye(classes)[(truth[0] + 1) % classes]  # sure of the wrong class
    matrix = metrics.confusion_matrix(truth, labels, classes)
    assert matrix.tolist() == sk.confusion_matrix(truth, labels).tolist()
    assert metrics.accuracy(truth, labels) == pytest.approx(sk.accuracy_score(truth, labels))
    assert metrics.macro_f1(matrix) == pytest.approx(sk.f1_score(truth, labels, average="macro"))
    assert metrics.log_loss(truth, shares) == pytest.approx(sk.log_loss(truth, shares))
    if classes == 2:
        assert metrics.brier(truth, shares[:, 1]) == pytest.approx(
            sk.brier_score_loss(truth, shares[:, 1])
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_of_a_quantity_are_scikit_learns(seed: int) -> None:
    truth, values = np.random.default_rng(seed).normal(3, 7, (2, 50))
    assert metrics.mae(truth, values) == pytest.approx(sk.mean_absolute_error(truth, values))
    assert metrics.rmse(truth, values) == pytest.approx(sk.root_mean_squared_error(truth, values))
    assert metrics.r2(truth, values) == pytest.approx(sk.r2_score(truth, values))


def test_what_cannot_be_measured_is_nan() -> None:
    ones, scores = np.ones(5, np.int64), np.linspace(0, 1, 5)
    assert np.isnan(metrics.roc_auc(ones, scores))
    assert np.isnan(metrics.average_precision(0 * ones, scores))
    assert np.isnan(metrics.r2(np.ones(5), scores))


def test_a_class_that_neither_is_nor_is_predicted_has_no_f1() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert metrics.f1_scores(matrix).tolist() == pytest.approx([2 / 3, 2 / 3, 0.0])


def test_metrics_by_which_models_are_compared() -> None:
    def names(target: Target) -> list[str]:
        return [metric.name for metric in target.compared_metrics()]

    assert names(Classes("y", ["a", "b", "c"])) == [*metrics.CLASSIFICATION_METRICS]
    assert names(Classes("y", [0, 1])) == [*metrics.CLASSIFICATION_METRICS, *metrics.BINARY_METRICS]
    assert names(Quantity("y")) == [*metrics.REGRESSION_METRICS]


@pytest.mark.parametrize("seed", SEEDS)
def test_recall_at_precision_is_the_highest_on_scikit_learns_curve(seed: int) -> None:
    truth, scores = _two_classes(seed)
    for wanted in (0.3, 0.5, 0.7, 0.9, 1.0):
        precision, recall, _ = sk.precision_recall_curve(truth, scores)
        reached = recall[precision >= wanted].max()  # ends in precision 1 at recall 0
        assert metrics.recall_at_precision(truth, scores, wanted) == pytest.approx(reached)


def test_without_a_positive_row_there_is_no_recall_at_a_precision() -> None:
    assert np.isnan(metrics.recall_at_precision(np.zeros(3, np.int64), np.arange(3.0), 0.5))


def test_the_cost_of_a_row_counts_both_mistakes() -> None:
    truth, taken = np.array([1, 1, 0, 0, 0]), np.array([True, False, True, False, False])
    assert metrics.cost(
        truth, taken, CostMatrix(false_negative=10, false_positive=2)
    ) == pytest.approx(12 / 5)
