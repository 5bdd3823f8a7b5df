import numpy as np
import pytest

from windlass.core.evaluation_rules import CostMatrix
from windlass.core.metrics import cost
from windlass.errors import ProjectError


@pytest.mark.parametrize(
    "wrong",
    [
        {"false_negative": 0, "false_positive": 1},
        {"false_negative": 1, "false_positive": -1},
        {"false_negative": 1, "false_positive": 1, "precision": 0},
        {"false_negative": 1, "false_positive": 1, "precision": 1},
        {"false_negative": float("nan"), "false_positive": 1},
    ],
)
def test_costs_and_precision_have_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ProjectError, match=r"CostMatrix\(false_negative=20, false_positive=1"):
        CostMatrix(**wrong)


@pytest.mark.parametrize(("false_negative", "false_positive"), [(30, 1), (1, 1), (1, 4)])
def test_the_threshold_is_the_cheapest_for_calibrated_probabilities(
    false_negative: float, false_positive: float
) -> None:
    random = np.random.default_rng(0)
    positive = random.beta(0.5, 3, 200_000)
    truth = (random.random(len(positive)) < positive).astype(np.int64)
    costs = CostMatrix(false_negative=false_negative, false_positive=false_positive)
    best = cost(truth, positive >= costs.threshold, costs)
    other_thresholds = [costs.threshold * factor for factor in (0.5, 0.8, 1.25, 1.5)]
    assert all(best < cost(truth, positive >= other, costs) for other in other_thresholds)
    assert best < min(cost(truth, np.full(len(truth), fill), costs) for fill in (False, True))
