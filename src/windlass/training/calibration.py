"""Calibration curve of a classifier, with confidence intervals."""

from typing import Any

import numpy as np

from windlass.core.metrics import Labels, Numbers, wilson_interval

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
