import numpy as np
import pytest

from windlass.core.evaluation_rules import CostMatrix
from windlass.core.metrics import cost
from windlass.errors import ProjectError


@pytest.mark.parametrize(
    "wrong",
    [
        {"missed": 0, "alarm": 1},
        {"missed": 1, "alarm": -1},
        {"missed": 1, "alarm": 1, "precision": 0},
        {"missed": 1, "alarm": 1, "precision": 1},
        {"missed": float("nan"), "alarm": 1},
    ],
)
def test_costs_and_precision_have_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ProjectError, match=r"Stakes\(missed=20, alarm=1\)"):
        CostMatrix(**wrong)


@pytest.mark.parametrize(("missed", "alarm"), [(30, 1), (1, 1), (1, 4)])
def test_the_threshold_is_the_cheapest_for_calibrated_probabilities(
    missed: float, alarm: float
) -> None:
    random = np.random.default_rng(0)
    positive = random.beta(0.5, 3, 200_000)
    truth = (random.random(len(positive)) < positive).astype(np.int64)
    stakes = CostMatrix(missed=missed, alarm=alarm)
    best = cost(truth, positive >= stakes.threshold, stakes)
    others = [stakes.threshold * factor for factor in (0.5, 0.8, 1.25, 1.5)]
    assert all(best < cost(truth, positive >= other, stakes) for other in others)
    assert best < min(cost(truth, np.full(len(truth), fill), stakes) for fill in (False, True))
