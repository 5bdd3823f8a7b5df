"""Evaluates a fitted model on the test rows: metrics, confusion matrix, calibration and fairness."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction
from windlass.core.evaluation_rules import CostMatrix
from windlass.core.metrics import confusion_matrix, safe_ratio
from windlass.core.project import Project
from windlass.core.target import Classes, class_key
from windlass.errors import ParameterError, counted
from windlass.training.calibration import calibration_curve, wilson_interval
from windlass.training.dataset import Dataset
from windlass.training.fairness import fairness_by_slice
from windlass.training.split import Split


@dataclass(frozen=True)
class Evaluation:
    """Contents of `metrics.json`, `confusion_matrix.json`, `calibration.json` and `fairness.json`.

    Rows of the matrix are true classes, columns are predicted ones; a regression has none. Calibration is
    measured where costs are declared, fairness where slices are.
    """

    metrics: dict[str, float]
    confusion: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    fairness: dict[str, Any] | None = None


def evaluate(
    project: Project, dataset: Dataset, split: Split, prediction: Prediction
) -> Evaluation:
    """Score predictions of the test rows. Raises ParameterError for a metric that is not a finite number."""
    if isinstance(project.target, Classes):
        evaluation = _evaluate_classes(project, project.target, dataset, split.test, prediction)
    else:
        evaluation = Evaluation(_regression_metrics(dataset.target[split.test], prediction.values))
    for name, value in evaluation.metrics.items():
        if not np.isfinite(value):
            raise ParameterError(
                f"Metric {name} is {value} on {counted(len(split.test), 'test row')}. Choose a larger test size."
            )
    evaluation.metrics.update(test_rows=len(split.test), train_rows=len(split.train))
    return evaluation


def _evaluate_classes(
    project: Project,
    target: Classes,
    dataset: Dataset,
    test: NDArray[np.int64],
    prediction: Prediction,
) -> Evaluation:
    assert dataset.labels is not None
    assert prediction.probabilities is not None
    truth = dataset.labels[test]
    matrix = confusion_matrix(truth, prediction.labels, len(target.labels))
    metrics = _classification_metrics(target, truth, prediction, matrix)
    if project.costs is not None:
        metrics |= _cost_metrics(project.costs, truth, prediction.probabilities[:, 1])
    slices, extra_columns = project.slices, dataset.extra_columns
    return Evaluation(
        metrics,
        confusion={"labels": list(target.labels), "matrix": matrix.tolist()},
        calibration=calibration_curve(truth, prediction.probabilities[:, 1])
        if project.costs
        else None,
        fairness=fairness_by_slice(slices, extra_columns.take(test), truth, prediction)
        if slices
        else None,
    )


def _classification_metrics(
    target: Classes, truth: NDArray[np.int64], prediction: Prediction, matrix: NDArray[np.int64]
) -> dict[str, float]:
    probabilities = prediction.probabilities
    assert probabilities is not None
    right, total = int(np.trace(matrix)), len(truth)
    low, high = wilson_interval(right, total)
    precision = safe_ratio(np.diag(matrix), matrix.sum(axis=0))
    recall = safe_ratio(np.diag(matrix), matrix.sum(axis=1))
    f1 = formulas.f1_scores(matrix)
    metrics = {
        "accuracy": right / total,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": formulas.macro_f1(matrix),
        "log_loss": formulas.log_loss(truth, probabilities),
    }
    if len(target.labels) == 2:
        metrics |= _binary_metrics(truth, probabilities[:, 1])
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        metrics |= {
            f"{name}_{class_key(label)}": float(v)
            for label, v in zip(target.labels, values, strict=True)
        }
    return metrics


def _binary_metrics(truth: NDArray[np.int64], positive: NDArray[np.float64]) -> dict[str, float]:
    """Return the metrics of two classes. The second declared class is the positive one."""
    return {
        "roc_auc": formulas.roc_auc(truth, positive),
        "average_precision": formulas.average_precision(truth, positive),
        "brier": formulas.brier(truth, positive),
    }


def _cost_metrics(
    costs: CostMatrix, truth: NDArray[np.int64], positive: NDArray[np.float64]
) -> dict[str, float]:
    """Return metrics of the positive class at the threshold of the declared costs, and the cost per row."""
    predicted = positive >= costs.threshold
    true_positives = int(np.count_nonzero(predicted & (truth == 1)))
    return {
        "base_rate": float(np.mean(truth == 1)),
        "recall_at_precision": formulas.recall_at_precision(truth, positive, costs.precision),
        "threshold": costs.threshold,
        "recall_at_threshold": true_positives / max(int(truth.sum()), 1),
        "precision_at_threshold": true_positives / max(int(predicted.sum()), 1),
        "cost_per_row": formulas.cost(truth, predicted, costs),
        "cost_accepting_all": formulas.cost(truth, np.zeros_like(predicted), costs),
    }


def _regression_metrics(truth: NDArray[np.float64], values: Any) -> dict[str, float]:
    if len(np.unique(truth)) < 2:
        raise ParameterError(
            "All test rows hold the same target, so R² cannot be measured. Choose a larger test size."
        )
    return {
        "mae": formulas.mae(truth, values),
        "rmse": formulas.rmse(truth, values),
        "r2": formulas.r2(truth, values),
    }
