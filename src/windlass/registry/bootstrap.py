"""Paired bootstrap intervals of the difference between two models' metrics."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.holdout import Holdout

RESAMPLES = 2000
MAX_ROWS_PER_RESAMPLE = 20_000  # so that a million rows take little longer than these
_MAX_RANKS = 8192  # distinguished while resampling; the exact metrics use every rank
_SEED = 1993

Indices = NDArray[np.int64]
ResampledMetric = Callable[[Indices], float]


def difference_interval(
    a: ResampledMetric,
    b: ResampledMetric,
    rows: int,
    confidence: float,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Returns the interval of a(rows) - b(rows) by the percentile bootstrap, with a fixed seed.

    B. Efron, R. J. Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 16. Both models
    are measured on the same resample, so what is hard for both cancels out. Beyond 20,000 rows it is the
    m-out-of-n bootstrap, its spread scaled by √(m/n): P. J. Bickel, F. Götze, W. R. van Zwet (1997),
    Statistica Sinica 7:1-31. Resamples without a value, such as those of one class, are left out.
    """
    random = np.random.default_rng(_SEED)
    size = min(rows, MAX_ROWS_PER_RESAMPLE)
    differences = np.empty(resamples)
    for index in range(resamples):
        resample = random.integers(rows, size=size)
        differences[index] = a(resample) - b(resample)
    all_rows = np.arange(rows)
    difference = a(all_rows) - b(all_rows)
    finite = differences[np.isfinite(differences)]
    tails = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = difference + sqrt(size / rows) * (tails - difference)
    return float(low), float(high)


def resampled_metric(name: str, holdout: Holdout, classes: int | None) -> ResampledMetric:
    """Returns a model's metric as a function of row indices [n] into its holdout; fast to call repeatedly."""
    if name in ("roc_auc", "average_precision"):
        return _ranking_metric(name, holdout)
    if name == "macro_f1":
        assert classes is not None
        return _macro_f1(holdout, classes)
    if name in ("rmse", "r2"):
        return _squared_error_metric(name, holdout)
    losses = _row_losses(name, holdout)
    return lambda rows: float(np.mean(losses[rows]))


def exact_metric(name: str, holdout: Holdout, classes: int | None) -> float:
    """Returns a model's metric on its whole holdout, by the formula that training uses; NaN without a value."""
    truth, prediction = holdout.truth, holdout.prediction
    if prediction.values is not None:
        return float(getattr(formulas, name)(truth, prediction.values))
    assert prediction.probabilities is not None
    assert classes is not None
    if name == "accuracy":
        return formulas.accuracy(truth, prediction.labels)  # type: ignore[arg-type]  # set with probabilities
    if name == "macro_f1":
        return formulas.macro_f1(formulas.confusion_matrix(truth, prediction.labels, classes))
    if name == "log_loss":
        return formulas.log_loss(truth, prediction.probabilities)
    return float(getattr(formulas, name)(truth, prediction.probabilities[:, 1]))


def _row_losses(name: str, holdout: Holdout) -> NDArray[np.float64]:
    """Returns each row's contribution [n] to a metric that is a mean over rows."""
    truth, prediction = holdout.truth, holdout.prediction
    losses: Any
    if name == "mae":
        losses = np.abs(prediction.values - truth)
    elif name == "accuracy":
        losses = np.equal(prediction.labels, truth)  # type: ignore[arg-type]  # of classes
    elif name == "log_loss":
        losses = formulas.log_losses(truth, prediction.probabilities)  # type: ignore[arg-type]  # of classes
    else:
        losses = (prediction.probabilities[:, 1] - truth) ** 2  # type: ignore[index]  # brier: of classes
    return np.asarray(losses, np.float64)


def _squared_error_metric(name: str, holdout: Holdout) -> ResampledMetric:
    truth = holdout.truth
    squares = (holdout.prediction.values - truth) ** 2
    if name == "rmse":
        return lambda rows: float(np.sqrt(np.mean(squares[rows])))

    def r2(rows: Indices) -> float:
        spread = float(np.var(truth[rows]))
        return 1 - float(np.mean(squares[rows])) / spread if spread else float("nan")

    return r2


def _macro_f1(holdout: Holdout, classes: int) -> ResampledMetric:
    """Returns macro F1 as a function of rows, from counts of (true, predicted) cells."""
    cells = holdout.truth * classes + holdout.prediction.labels

    def macro_f1(rows: Indices) -> float:
        counts = np.bincount(cells[rows], minlength=classes**2)
        return formulas.macro_f1(counts.reshape(classes, classes))

    return macro_f1


def _ranking_metric(name: str, holdout: Holdout) -> ResampledMetric:
    """Returns a ranking metric from counts of (rank, true class); scores are ranked once, not in each resample."""
    formula = formulas.auc_of_counts if name == "roc_auc" else formulas.average_precision_of_counts
    assert holdout.prediction.probabilities is not None
    _, ranks = np.unique(-holdout.prediction.probabilities[:, 1], return_inverse=True)
    size = min(int(ranks.max()) + 1, _MAX_RANKS)
    cells = ranks * size // (int(ranks.max()) + 1) * 2 + holdout.truth

    def ranking_metric(rows: Indices) -> float:
        counts = np.bincount(cells[rows], minlength=2 * size).reshape(size, 2)
        return formula(counts[:, 1], counts[:, 0])

    return ranking_metric
