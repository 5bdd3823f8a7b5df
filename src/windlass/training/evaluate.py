"""Metrics of a fitted model on the test rows: flat numbers, and the confusion matrix."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.target import Classes, Target, class_key
from windlass.errors import ParameterError
from windlass.training.dataset import Dataset
from windlass.training.split import Split

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True)
class Evaluation:
    """`metrics.json` and `confusion_matrix.json` as values. A regression has no confusion matrix.

    Rows of the matrix are true classes, columns are predicted ones.
    """

    metrics: dict[str, float]
    confusion: dict[str, Any] | None


def evaluate(target: Target, dataset: Dataset, split: Split, prediction: Prediction) -> Evaluation:
    """Score predictions of the test rows. Raises ParameterError for a metric that is no finite number."""
    sizes = {"test_rows": len(split.test), "train_rows": len(split.train)}
    if isinstance(target, Classes):
        assert dataset.labels is not None
        truth = dataset.labels[split.test]
        matrix = confusion_matrix(truth, prediction.labels, len(target.labels))
        metrics = _classification(target, truth, prediction, matrix)
        confusion = {"labels": list(target.labels), "matrix": matrix.tolist()}
    else:
        metrics = _regression(dataset.target[split.test], prediction.values)
        confusion = None
    for name, value in metrics.items():
        if not np.isfinite(value):
            raise ParameterError(
                f"Metric {name} is {value} on {len(split.test)} test rows. Choose a larger test size."
            )
    return Evaluation(metrics | sizes, confusion)


def confusion_matrix(truth: Any, predicted: Any, classes: int) -> NDArray[np.int64]:
    """Counts [c, c]: row the true class, column the predicted one."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, by E. B. Wilson (1927), JASA 22:209-212: holds near 0 and 1."""
    share = right / total
    spread = Z_95 * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    centre, scale = share + Z_95**2 / (2 * total), 1 + Z_95**2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _classification(
    target: Classes, truth: NDArray[np.int64], prediction: Prediction, matrix: NDArray[np.int64]
) -> dict[str, float]:
    probabilities = prediction.probabilities
    assert probabilities is not None
    right, total = int(np.trace(matrix)), len(truth)
    low, high = wilson(right, total)
    precision = _share(np.diag(matrix), matrix.sum(axis=0))
    recall = _share(np.diag(matrix), matrix.sum(axis=1))
    f1 = _share(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))
    given = np.clip(
        probabilities[np.arange(total), truth], np.finfo(np.float64).eps, 1.0
    )  # as scikit-learn's log_loss
    metrics = {
        "accuracy": right / total,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": float(np.mean(f1)),
        "log_loss": float(-np.mean(np.log(given))),
    }
    if len(target.labels) == 2:
        metrics |= _binary(truth, probabilities[:, 1])
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        metrics |= {
            f"{name}_{class_key(label)}": float(v)
            for label, v in zip(target.labels, values, strict=True)
        }
    return metrics


def _binary(truth: NDArray[np.int64], positive: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of two classes. The second declared class is the positive one."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "roc_auc": float(roc_auc_score(truth, positive)),
        "average_precision": float(average_precision_score(truth, positive)),
        "brier": float(np.mean((positive - truth) ** 2)),
    }


def _regression(truth: NDArray[np.float64], values: Any) -> dict[str, float]:
    error = values - truth
    spread = float(np.sum((truth - np.mean(truth)) ** 2))
    if spread == 0:
        raise ParameterError(
            "All test rows hold the same target, so R² cannot be measured. Choose a larger test size."
        )
    return {
        "mae": float(np.mean(np.abs(error))),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": 1 - float(np.sum(error**2)) / spread,
    }


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """part / whole, and 0 where whole is 0, as scikit-learn does with zero_division=0."""
    result: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return result
