"""Metrics over arrays, without scikit-learn, for training and for comparisons of versions.

`truth` [n] holds indices of the declared classes, or float64. `labels` [n] are predicted classes,
`probabilities` [n, c] those of each class, `positive` [n] that of the positive class, `values` [n] predicted
quantities.
"""

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.evaluation_rules import CostMatrix

Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "mae", "rmse"})
CLASSIFICATION_METRICS = ("accuracy", "macro_f1", "log_loss")
BINARY_METRICS = ("roc_auc", "average_precision", "brier")
REGRESSION_METRICS = ("mae", "rmse", "r2")
COST_METRICS = ("recall_at_precision", "threshold", "recall_at_threshold",
             "precision_at_threshold", "cost_per_row", "cost_accepting_all")  # fmt: skip
PER_CLASS_METRICS = ("precision", "recall", "f1", "support")
ROW_COUNTS = ("test_rows", "train_rows")
Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Returns the 95% interval of the proportion `right / total`, valid near 0 and 1.

    By E. B. Wilson (1927), JASA 22:209-212.
    """
    share = right / total
    spread = Z_95 * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    centre, scale = share + Z_95**2 / (2 * total), 1 + Z_95**2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def confusion_matrix(truth: Any, predicted: Any, classes: int) -> Labels:
    """Counts rows [c, c] by true class (row) and predicted class (column)."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def accuracy(truth: Labels, labels: Labels) -> float:
    """Share of correct labels."""
    return float(np.count_nonzero(truth == labels) / len(truth))


def f1_scores(matrix: Labels) -> Numbers:
    """F1 of each class [c]: 2·TP / (2·TP + FP + FN), or 0 for 0 / 0."""
    return safe_ratio(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_f1(matrix: Labels) -> float:
    """Unweighted mean of F1 over the declared classes."""
    return float(np.mean(f1_scores(matrix)))


def safe_ratio(numerator: Labels, denominator: Labels) -> Numbers:
    """Divides element by element; 0 where the denominator is 0, as scikit-learn with zero_division=0."""
    zeros = np.zeros(len(numerator))
    result: Numbers = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    return result


def log_losses(truth: Labels, probabilities: Numbers) -> Numbers:
    """-ln p of the true class for each row [n], with p clipped to [eps of float64, 1], as scikit-learn does."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    losses: Numbers = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))
    return losses


def log_loss(truth: Labels, probabilities: Numbers) -> float:
    """Mean of `log_losses`, in nats."""
    return float(np.mean(log_losses(truth, probabilities)))


def brier(truth: Labels, positive: Numbers) -> float:
    """Mean squared error of the positive class's probability.

    G. W. Brier (1950), "Verification of forecasts expressed in terms of probability", MWR 78:1-3.
    """
    return float(np.mean((positive - truth) ** 2))


def mae(truth: Numbers, values: Numbers) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(values - truth)))


def rmse(truth: Numbers, values: Numbers) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((values - truth) ** 2)))


def r2(truth: Numbers, values: Numbers) -> float:
    """Share of the variance that is explained; NaN where every truth is the same."""
    spread = float(np.sum((truth - np.mean(truth)) ** 2))
    return 1 - float(np.sum((values - truth) ** 2)) / spread if spread else float("nan")


def roc_auc(truth: Labels, positive: Numbers) -> float:
    """Area under the ROC curve; NaN if a class is absent (`auc_of_counts`)."""
    return auc_of_counts(*counts_by_score(truth, positive))


def average_precision(truth: Labels, positive: Numbers) -> float:
    """Sum of precision over the steps of recall; NaN without a positive row (`average_precision_of_counts`)."""
    return average_precision_of_counts(*counts_by_score(truth, positive))


def recall_at_precision(truth: Labels, positive: Numbers, precision: float) -> float:
    """Highest recall over all thresholds whose precision is `precision` or more.

    0 if no threshold reaches that precision, NaN without a positive row.
    """
    positives, negatives = (np.cumsum(counts) for counts in counts_by_score(truth, positive))
    if not positives[-1]:
        return float("nan")
    enough = safe_ratio(positives, positives + negatives) >= precision
    return float(positives[enough].max(initial=0) / positives[-1])


def cost(truth: Labels, predicted_positive: NDArray[np.bool_], costs: CostMatrix) -> float:
    """Mean cost per row, in the unit of `costs`. `predicted_positive` [n] says which rows are predicted positive."""
    false_negatives = np.count_nonzero(~predicted_positive & (truth == 1))
    false_positives = np.count_nonzero(predicted_positive & (truth == 0))
    return float(
        (costs.false_negative * false_negatives + costs.false_positive * false_positives)
        / len(truth)
    )


def counts_by_score(truth: Labels, positive: Numbers) -> tuple[Labels, Labels]:
    """Counts positive and negative rows at each of u distinct scores: two arrays [u], highest score first."""
    scores, rank = np.unique(-positive, return_inverse=True)
    size = len(scores)
    return (
        np.bincount(rank[truth == 1], minlength=size),
        np.bincount(rank[truth == 0], minlength=size),
    )


def auc_of_counts(positives: Labels, negatives: Labels) -> float:
    """Probability that a positive row has a higher score than a negative one; a tie counts half.

    Computed from counts at descending scores. J. A. Hanley, B. J. McNeil (1982), Radiology 143:29-36.
    """
    pairs = int(positives.sum()) * int(negatives.sum())
    if not pairs:
        return float("nan")
    above = np.cumsum(positives) - positives
    return float(np.sum(negatives * (above + positives / 2.0))) / pairs


def average_precision_of_counts(positives: Labels, negatives: Labels) -> float:
    """Average precision, sum of P_k · (R_k - R_{k-1}), from counts at descending scores."""
    total = int(positives.sum())
    if not total:
        return float("nan")
    true_positives = np.cumsum(positives)
    precision = safe_ratio(true_positives, true_positives + np.cumsum(negatives))
    steps = np.diff(true_positives / total, prepend=0.0)
    # summed in scikit-learn's order, for the same last digit
    return float(np.sum((steps * precision)[::-1]))
