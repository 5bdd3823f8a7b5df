"""Paired bootstrap intervals of the difference between two models' metrics."""

from math import sqrt

import numpy as np

from windlass.core.compared_metrics import ResampledMetric

RESAMPLES = 2000
MAX_ROWS_PER_RESAMPLE = 20_000  # so that a million rows take little longer than these
_SEED = 1993


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
