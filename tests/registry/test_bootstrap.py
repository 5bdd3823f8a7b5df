from math import sqrt
from time import process_time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.budget import IS_CI
from tests.support.holdout_bundles import make_holdout

from windlass.core.compared_metrics import (
    ComparedMetric,
    ResampledMetric,
    classification_metrics,
    regression_metrics,
)
from windlass.core.holdout import Holdout
from windlass.registry.bootstrap import (
    MAX_ROWS_PER_RESAMPLE,
    RESAMPLES,
    difference_interval,
)

BINARY = {metric.name: metric for metric in classification_metrics(2)}
QUANTITY = {metric.name: metric for metric in regression_metrics()}
NAMES = [(name, 2) for name in BINARY] + [(name, None) for name in QUANTITY]


def _metric(name: str, classes: int | None) -> ComparedMetric:
    return (BINARY if classes else QUANTITY)[name]


def exact_metric(name: str, holdout: Holdout, classes: int | None) -> float:
    return _metric(name, classes).value(holdout.truth, holdout.prediction)


def resampled_metric(name: str, holdout: Holdout, classes: int | None) -> ResampledMetric:
    return _metric(name, classes).resample(holdout.truth, holdout.prediction)


def _pair(rows: int, classes: int | None, seed: int = 0) -> tuple[Holdout, Holdout]:
    random = np.random.default_rng(seed)
    truth: Any = random.integers(0, 2, rows) if classes else random.normal(size=rows)
    return make_holdout(truth, noise=1.0, seed=2 * seed), make_holdout(
        truth, noise=1.1, seed=2 * seed + 1
    )


def _right(holdout: Holdout) -> NDArray[np.float64]:
    assert holdout.prediction.labels is not None
    return np.asarray(holdout.prediction.labels == holdout.truth, np.float64)


@pytest.mark.parametrize(("name", "classes"), NAMES)
def test_a_measure_of_all_rows_is_the_metric(name: str, classes: int | None) -> None:
    for rows in (50, 5000):
        holdout, _ = _pair(rows, classes)
        results = resampled_metric(name, holdout, classes)(np.arange(rows))
        assert results == pytest.approx(exact_metric(name, holdout, classes), abs=1e-12)


@pytest.mark.parametrize(("name", "classes"), NAMES)
def test_a_measure_of_a_resample_is_the_metric_of_these_rows(
    name: str, classes: int | None
) -> None:
    holdout, _ = _pair(300, classes)
    rows = np.random.default_rng(9).integers(300, size=300)
    results = resampled_metric(name, holdout, classes)(rows)
    assert results == pytest.approx(exact_metric(name, holdout.take(rows), classes), abs=1e-12)


def test_ranks_that_are_lumped_together_change_next_to_nothing() -> None:
    holdout, _ = _pair(50_000, 2)
    for name in ("roc_auc", "average_precision"):
        results = resampled_metric(name, holdout, 2)(np.arange(50_000))
        assert results == pytest.approx(exact_metric(name, holdout, 2), abs=1e-4)


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    a, b = _pair(2000, 2)
    gap = _right(a) - _right(b)
    error = 1.96 * gap.std() / sqrt(2000)
    low, high = difference_interval(
        resampled_metric("accuracy", a, 2), resampled_metric("accuracy", b, 2), 2000, 0.95
    )
    assert (low, high) == pytest.approx((gap.mean() - error, gap.mean() + error), abs=0.1 * error)


def test_what_is_hard_for_both_cancels_out() -> None:
    truth = np.random.default_rng(0).integers(0, 2, 1000)
    a, b = (
        make_holdout(truth, noise=1.0),
        make_holdout(truth, noise=1.05),
    )  # the same errors, a little larger
    low, high = difference_interval(
        resampled_metric("log_loss", a, 2), resampled_metric("log_loss", b, 2), 1000, 0.95
    )
    alone = difference_interval(resampled_metric("log_loss", a, 2), lambda rows: 0.0, 1000, 0.95)
    assert high - low < 0.15 * (alone[1] - alone[0])


def test_beyond_the_bound_the_interval_is_as_narrow_as_its_rows_make_it() -> None:
    rows = 9 * MAX_ROWS_PER_RESAMPLE
    a, b = _pair(rows, 2)
    gap = _right(a) - _right(b)
    error = 1.96 * gap.std() / sqrt(rows)
    first, second = (resampled_metric("accuracy", holdout, 2) for holdout in (a, b))
    resamples = RESAMPLES if IS_CI else RESAMPLES // 4
    low, high = difference_interval(first, second, rows, 0.95, resamples)
    assert (low, high) == pytest.approx((gap.mean() - error, gap.mean() + error), abs=0.1 * error)


@pytest.mark.parametrize(("name", "classes"), [("roc_auc", 2), ("log_loss", 2), ("r2", None)])
def test_intervals_cover_the_truth_as_often_as_they_say(name: str, classes: int | None) -> None:
    """Models of equal quality: a 90 % interval must hold 0 in about 90 of 100 samples."""
    resamples, covered = 400 if IS_CI else 150, 0  # enough for tails of 5 %
    for seed in range(100):
        random = np.random.default_rng(seed)
        truth: Any = random.integers(0, 2, 150) if classes else random.normal(size=150)
        a, b = (make_holdout(truth, seed=1000 + 2 * seed + k) for k in (0, 1))
        first, second = (resampled_metric(name, holdout, classes) for holdout in (a, b))
        low, high = difference_interval(first, second, 150, 0.9, resamples)
        covered += low <= 0 <= high
    assert 80 <= covered <= 97


def test_the_same_rows_give_the_same_interval() -> None:
    a, b = (resampled_metric("roc_auc", holdout, 2) for holdout in _pair(200, 2))
    assert difference_interval(a, b, 200, 0.95) == difference_interval(a, b, 200, 0.95)


def test_resamples_of_one_class_are_left_out() -> None:
    truth = np.zeros(40, np.int64)
    truth[0] = 1  # more than a third of the resamples miss it
    a, b = (resampled_metric("roc_auc", make_holdout(truth, seed=seed), 2) for seed in (0, 1))
    assert all(np.isfinite(difference_interval(a, b, 40, 0.95)))


def test_a_hundred_thousand_rows_take_seconds() -> None:
    a, b = _pair(100_000, 2)
    resamples = RESAMPLES if IS_CI else RESAMPLES // 8
    started = process_time()  # not the clock's: others may have this machine's cores
    for name in BINARY:
        first, second = (resampled_metric(name, holdout, 2) for holdout in (a, b))
        difference_interval(first, second, 100_000, 0.95, resamples)
    assert process_time() - started < 60 * resamples / RESAMPLES  # 3.5 with all on an idle core
