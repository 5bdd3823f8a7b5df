"""The monitoring plan of the Iris example: limits of the PSI that hold without drift, and that inches exceed."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.budget import IS_CI
from tests.support.paths import IRIS

from windlass.core.profile import NumericProfile

TRAINING_ROWS = 120
SAMPLES = 1_500 if IS_CI else 250
ROW = re.compile(r"^\| ([\d,]+) \| (\d+)% \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)

Floats = NDArray[np.float64]


def limits() -> dict[int, tuple[float, float, float]]:
    """By the number of rows: the share of samples above 0.1, and the limits of look and act."""
    return {
        int(rows.replace(",", "")): (int(share) / 100, float(look), float(act))
        for rows, share, look, act in ROW.findall((IRIS / "README.md").read_text())
    }


def psi(profile: NumericProfile, values: Floats) -> float:
    """The population stability index of values against a profile, with half a row more in each bin."""
    counts = np.array([profile.counts, profile.histogram(values)]) + 0.5
    expected, observed = counts / counts.sum(axis=1, keepdims=True)
    return float(((observed - expected) * np.log(observed / expected)).sum())


def measurements(random: np.random.Generator, rows: int) -> Floats:
    """Petal lengths of three species, to a tenth of a centimetre."""
    species = random.integers(0, 3, rows)
    means, deviations = np.array([1.46, 4.26, 5.55]), np.array([0.17, 0.47, 0.55])
    return np.round(random.normal(means[species], deviations[species]), 1)


def scores(rows: int) -> Floats:
    random = np.random.default_rng(rows)
    return np.array(
        [
            psi(
                NumericProfile.from_values("length", measurements(random, TRAINING_ROWS)),
                measurements(random, rows),
            )
            for _ in range(SAMPLES)
        ]
    )


@pytest.mark.parametrize("rows", [200, 1000])
def test_limits_are_rarely_exceeded_without_drift(rows: int) -> None:
    above, look, act = limits()[rows]
    seen = scores(rows)
    assert abs((seen > 0.1).mean() - above) < 0.1
    assert (seen > look).mean() < 0.03
    assert (seen > act).mean() < 0.01


def test_limits_are_those_of_the_formula() -> None:
    assert list(limits()) == [200, 500, 1_000, 2_000, 5_000]
    for rows, (_, look, act) in limits().items():
        factor = 1 / rows + 1 / TRAINING_ROWS
        assert look == round(max(0.1, factor * 21.67), 2)
        assert act == round(max(0.25, factor * 27.88), 2)


def test_inches_exceed_them() -> None:
    random = np.random.default_rng(1)
    profile = NumericProfile.from_values("length", measurements(random, TRAINING_ROWS))
    assert psi(profile, measurements(random, 200) / 2.54) > 5 * limits()[200][2]
