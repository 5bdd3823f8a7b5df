"""Metrics by which two models are compared, as functions of rows: exact, and fast on resamples of the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction

MAX_RANKS = 8192  # distinguished while resampling; the exact metrics use every rank

Truth = NDArray[Any]
Indices = NDArray[np.int64]
ResampledMetric = Callable[[Indices], float]


@dataclass(frozen=True)
class ComparedMetric:
    """A metric by which two models of one target can be compared on the same rows.

    `value` computes it from the truth and the prediction of n rows; NaN where it has no value. `resample` returns
    it as a function of indices into these rows, fast to call repeatedly. `units` counts what is drawn in a
    resample: the rows, or groups of them, which the indices are then of.
    """

    name: str
    value: Callable[[Truth, Prediction], float]
    resample: Callable[[Truth, Prediction], ResampledMetric]
    less_is_better: bool = False
    units: Callable[[Truth], int] = len


def mean_metric(
    name: str,
    losses: Callable[[Truth, Prediction], NDArray[Any]],
    *,
    less_is_better: bool,
    units: Callable[[Truth], int] = len,
) -> ComparedMetric:
    """Returns a metric that is the mean of each row's, or group's, contribution."""

    def resample(truth: Truth, prediction: Prediction) -> ResampledMetric:
        contributions = np.asarray(losses(truth, prediction), np.float64)
        return lambda rows: float(np.mean(contributions[rows]))

    def value(truth: Truth, prediction: Prediction) -> float:
        contributions = losses(truth, prediction)
        return float(np.mean(contributions)) if len(contributions) else float("nan")

    return ComparedMetric(name, value, resample, less_is_better, units)


def classification_metrics(classes: int) -> tuple[ComparedMetric, ...]:
    """Returns the metrics of labels and probabilities of so many classes."""

    def macro_f1(truth: Truth, prediction: Prediction) -> float:
        return formulas.macro_f1(formulas.confusion_matrix(truth, prediction.labels, classes))

    def resample_f1(truth: Truth, prediction: Prediction) -> ResampledMetric:
        cells = truth * classes + prediction.labels  # of the confusion matrix

        def resampled(rows: Indices) -> float:
            counts = np.bincount(cells[rows], minlength=classes**2)
            return formulas.macro_f1(counts.reshape(classes, classes))

        return resampled

    metrics = (
        mean_metric("accuracy", lambda t, p: np.asarray(p.labels == t), less_is_better=False),
        ComparedMetric("macro_f1", macro_f1, resample_f1),
        mean_metric(
            "log_loss",
            lambda t, p: formulas.log_losses(t, _probabilities(p)),
            less_is_better=True,
        ),
    )
    return (*metrics, *_binary_metrics()) if classes == 2 else metrics


def _binary_metrics() -> tuple[ComparedMetric, ...]:
    return (
        ComparedMetric(
            "roc_auc",
            lambda t, p: formulas.roc_auc(t, _positive(p)),
            lambda t, p: resample_scores("roc_auc", t, _positive(p)),
        ),
        ComparedMetric(
            "average_precision",
            lambda t, p: formulas.average_precision(t, _positive(p)),
            lambda t, p: resample_scores("average_precision", t, _positive(p)),
        ),
        mean_metric("brier", lambda t, p: (_positive(p) - t) ** 2, less_is_better=True),
    )


def regression_metrics() -> tuple[ComparedMetric, ...]:
    """Returns the metrics of predicted quantities."""
    return (
        mean_metric("mae", lambda t, p: np.abs(_values(p) - t), less_is_better=True),
        ComparedMetric(
            "rmse",
            lambda t, p: formulas.rmse(t, _values(p)),
            _resample_rmse,
            less_is_better=True,
        ),
        ComparedMetric("r2", lambda t, p: formulas.r2(t, _values(p)), _resample_r2),
    )


def _resample_rmse(truth: Truth, prediction: Prediction) -> ResampledMetric:
    squares = (_values(prediction) - truth) ** 2
    return lambda rows: float(np.sqrt(np.mean(squares[rows])))


def _resample_r2(truth: Truth, prediction: Prediction) -> ResampledMetric:
    squares = (_values(prediction) - truth) ** 2

    def r2(rows: Indices) -> float:
        spread = float(np.var(truth[rows]))
        return 1 - float(np.mean(squares[rows])) / spread if spread else float("nan")

    return r2


def resample_scores(name: str, truth: Truth, scores: NDArray[np.float64]) -> ResampledMetric:
    """Returns `roc_auc` or `average_precision` of scores [n] for `truth` [n] of 0 and 1, as a function of rows.

    It counts rows by rank and class: scores are ranked once, not in each resample.
    """
    formula = formulas.auc_of_counts if name == "roc_auc" else formulas.average_precision_of_counts
    _, ranks = np.unique(-scores, return_inverse=True)
    size = min(int(ranks.max()) + 1, MAX_RANKS)
    cells = ranks * size // (int(ranks.max()) + 1) * 2 + truth

    def resampled(rows: Indices) -> float:
        counts = np.bincount(cells[rows], minlength=2 * size).reshape(size, 2)
        return formula(counts[:, 1], counts[:, 0])

    return resampled


def _values(prediction: Prediction) -> NDArray[np.float64]:
    assert prediction.values is not None
    return prediction.values


def _probabilities(prediction: Prediction) -> NDArray[np.float64]:
    assert prediction.probabilities is not None
    return prediction.probabilities


def _positive(prediction: Prediction) -> NDArray[np.float64]:
    return _probabilities(prediction)[:, 1]
