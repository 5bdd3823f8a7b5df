"""The paired bootstrap: how the difference of two models' metrics moves when the rows are drawn again."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.holdout import Holdout

RESAMPLES = 2000
ROWS = 20_000  # drawn at most for a resample, so that a million rows take little longer than these
_RANKS = 8192  # told apart at most while resampling; the metrics themselves are of exact ranks
_SEED = 1993

Indices = NDArray[np.int64]
Measure = Callable[[Indices], float]


def interval(a: Measure, b: Measure, rows: int, confidence: float) -> tuple[float, float]:
    """The interval of a(rows) - b(rows), by the percentile bootstrap; the same again for the same rows.

    B. Efron, R. J. Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 16. Both models
    are measured on the same resample, so what is hard for both cancels out. Beyond 20,000 rows it is the
    m-out-of-n bootstrap, its spread scaled by √(m/n): P. J. Bickel, F. Götze, W. R. van Zwet (1997),
    Statistica Sinica 7:1-31. Resamples without a value, such as those of one class, are left out.
    """
    random = np.random.default_rng(_SEED)
    drawn = min(rows, ROWS)
    found = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        chosen = random.integers(rows, size=drawn)
        found[index] = a(chosen) - b(chosen)
    everything = np.arange(rows)
    whole = a(everything) - b(everything)
    tails = np.quantile(found[np.isfinite(found)], [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = whole + sqrt(drawn / rows) * (tails - whole)
    return float(low), float(high)


def measure(name: str, holdout: Holdout, classes: int | None) -> Measure:
    """A metric of a model as a function of the indices of some rows of its holdout, fast to call again."""
    if name in ("roc_auc", "average_precision"):
        return _of_ranks(name, holdout)
    if name == "macro_f1":
        assert classes is not None
        return _of_cells(holdout, classes)
    if name in ("rmse", "r2"):
        return _of_squares(name, holdout)
    losses = _losses(name, holdout)
    return lambda rows: float(np.mean(losses[rows]))


def exact(name: str, holdout: Holdout, classes: int | None) -> float:
    """A metric of a model on its whole holdout, by the formula that training uses; NaN where it has none."""
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


def _losses(name: str, holdout: Holdout) -> NDArray[np.float64]:
    """What each row [n] adds to a metric that is a mean over rows."""
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


def _of_squares(name: str, holdout: Holdout) -> Measure:
    truth = holdout.truth
    squares = (holdout.prediction.values - truth) ** 2
    if name == "rmse":
        return lambda rows: float(np.sqrt(np.mean(squares[rows])))

    def r2(rows: Indices) -> float:
        spread = float(np.var(truth[rows]))
        return 1 - float(np.mean(squares[rows])) / spread if spread else float("nan")

    return r2


def _of_cells(holdout: Holdout, classes: int) -> Measure:
    """Macro F1 from counts of (true, predicted) cells."""
    cells = holdout.truth * classes + holdout.prediction.labels

    def macro_f1(rows: Indices) -> float:
        counts = np.bincount(cells[rows], minlength=classes**2)
        return formulas.macro_f1(counts.reshape(classes, classes))

    return macro_f1


def _of_ranks(name: str, holdout: Holdout) -> Measure:
    """A ranking metric from counts of (rank, true class); scores are ranked once, not in each resample."""
    formula = formulas.auc_of_counts if name == "roc_auc" else formulas.average_precision_of_counts
    assert holdout.prediction.probabilities is not None
    _, ranks = np.unique(-holdout.prediction.probabilities[:, 1], return_inverse=True)
    size = min(int(ranks.max()) + 1, _RANKS)
    cells = ranks * size // (int(ranks.max()) + 1) * 2 + holdout.truth

    def measured(rows: Indices) -> float:
        counts = np.bincount(cells[rows], minlength=2 * size).reshape(size, 2)
        return formula(counts[:, 1], counts[:, 0])

    return measured
