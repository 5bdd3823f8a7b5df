"""Calibration curve and confidence intervals of a classifier."""

from math import sqrt
from typing import Any

import numpy as np

from windlass.core.metrics import Labels, Numbers

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Return the 95% interval of the proportion `right / total`, valid near 0 and 1.

    By E. B. Wilson (1927), JASA 22:209-212.
    """
    share = right / total
    spread = Z_95 * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    centre, scale = share + Z_95**2 / (2 * total), 1 + Z_95**2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


BINS = 10


def calibration_curve(truth: Labels, positive: Numbers) -> dict[str, Any]:
    """Return what `calibration.json` holds: ten bins, each of a tenth of the rows [n] by predicted probability.

    The lowest bin comes first. Rows of equal probability are in one bin, so there may be fewer.
    `predicted` is the mean probability of a bin, `observed` the positive share, with its 95% interval.
    """
    edges = np.quantile(positive, np.arange(1, BINS) / BINS, method="lower")
    bins = np.searchsorted(edges, positive, side="left")
    return {
        "bins": [_calibration_bin(truth[bins == k], positive[bins == k]) for k in np.unique(bins)]
    }


def _calibration_bin(truth: Labels, positive: Numbers) -> dict[str, float]:
    positives, rows = int(truth.sum()), len(truth)
    low, high = wilson_interval(positives, rows)
    return {
        "rows": rows,
        "from": float(positive.min()),
        "to": float(positive.max()),
        "predicted": float(positive.mean()),
        "observed": positives / rows,
        "observed_low": low,
        "observed_high": high,
    }
