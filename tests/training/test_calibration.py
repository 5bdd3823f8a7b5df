from itertools import pairwise

import numpy as np
import pytest

from windlass.core.metrics import wilson_interval
from windlass.training.calibration import calibration_curve


def test_each_bin_holds_a_tenth_of_the_rows() -> None:
    random = np.random.default_rng(1)
    positive = random.beta(0.5, 5, 2000)
    truth = (random.random(2000) < positive).astype(np.int64)
    bins = calibration_curve(truth, positive)["bins"]
    assert [part["rows"] for part in bins] == pytest.approx([200] * 10, abs=2)
    assert all(low["to"] < high["from"] for low, high in pairwise(bins))
    for part in bins:
        rows = (positive >= part["from"]) & (positive <= part["to"])
        assert part["predicted"] == pytest.approx(positive[rows].mean())
        assert part["observed"] == pytest.approx(truth[rows].mean())
        assert part["observed_low"] <= part["observed"] <= part["observed_high"]


@pytest.mark.parametrize("positive", [[0.3] * 30, [0.1] * 25 + [0.9] * 5, [0.5, 0.2]])
def test_equal_probabilities_are_in_one_bin(positive: list[float]) -> None:
    bins = calibration_curve(np.ones(len(positive), np.int64), np.array(positive))["bins"]
    assert sum(part["rows"] for part in bins) == len(positive)
    assert len(bins) == len(set(positive))
    assert all(part["observed"] == 1 for part in bins)


@pytest.mark.parametrize(
    (
        "right",
        "total",
        "low",
        "high",
    ),  # Newcombe (1998), Statistics in Medicine 17:857-872, table I
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_published_intervals(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson_interval(total - right, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)
