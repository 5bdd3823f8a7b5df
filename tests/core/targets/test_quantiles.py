"""Quantiles: pinball loss, coverage, and quantiles that cross."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from windlass.core.batch import Prediction
from windlass.core.bundle import read_target
from windlass.core.targets.quantiles import Quantiles
from windlass.errors import EngineError, ParameterError, ProjectError

PRICE = Quantiles("price", quantiles=(0.1, 0.5, 0.9), unit="EUR")


class Constant:
    def __init__(self, *values: float) -> None:
        self.values = values

    def predict(self, frame: Any) -> Any:
        return np.tile(self.values, (len(frame), 1)).squeeze(
            axis=1 if len(self.values) == 1 else ()
        )


def test_metrics_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    truth, values = random.normal(size=50), np.sort(random.normal(size=(50, 3)), axis=1)
    metrics = PRICE.evaluate(truth, Prediction(values=values))
    assert set(metrics) == set(PRICE.metric_names())
    losses = [
        mean_pinball_loss(truth, values[:, index], alpha=level)
        for index, level in enumerate(PRICE.quantiles)
    ]
    assert metrics["pinball_loss"] == pytest.approx(np.mean(losses))
    assert metrics["pinball_loss_0.9"] == pytest.approx(losses[2])
    assert metrics["coverage_0.1"] == np.mean(truth <= values[:, 0])
    inside = (values[:, 0] <= truth) & (truth <= values[:, 2])
    assert metrics["interval_coverage"] == np.mean(inside)
    rows = random.integers(50, size=50)
    for metric in PRICE.compared_metrics():
        expected = metric.value(truth[rows], Prediction(values=values[rows]))
        assert metric.resample(truth, Prediction(values=values))(rows) == pytest.approx(expected)


@pytest.mark.parametrize(
    "fitted",
    [{0.1: Constant(5.0), 0.5: Constant(1.0), 0.9: Constant(3.0)}, Constant(5.0, 1.0, 3.0)],
)
def test_quantiles_that_cross_are_sorted(fitted: Any) -> None:
    prediction = PRICE.predictor(fitted)(range(2))
    answer = {"prediction": 3.0, "quantiles": {"0.1": 1.0, "0.5": 3.0, "0.9": 5.0}}
    assert PRICE.row_answers(prediction) == [answer, answer]
    assert PRICE.row_answer(prediction.slice(0, 1)) == answer


def test_a_row_without_one_quantile_has_no_prediction() -> None:
    prediction = PRICE.predictor(Constant(5.0, np.nan, 3.0))(range(2))
    assert not prediction.finite_rows().any()


def test_without_a_median_the_nearest_quantile_is_the_prediction() -> None:
    prediction = Prediction(values=np.array([[1.0, 2.0, 3.0]]))
    assert Quantiles("y", (0.2, 0.4, 0.9)).row_answer(prediction)["prediction"] == 2.0
    assert Quantiles("y", (0.1, 0.4, 0.6)).row_answer(prediction)["prediction"] == 2.0


@pytest.mark.parametrize("levels", [(), (0.5,), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5)])
def test_impossible_quantiles(levels: Any) -> None:
    with pytest.raises(ProjectError, match="two or more quantiles that increase between 0 and 1"):
        Quantiles("price", levels)


def test_estimators_of_other_quantiles() -> None:
    with pytest.raises(ParameterError, match=r"the quantiles are 0\.1, 0\.5, 0\.9"):
        PRICE.fit({0.1: Constant(1.0)}, lambda *_: None)
    with pytest.raises(EngineError, match=r"the quantiles \[0.2\], the bundle declares"):
        PRICE.predictor({0.2: Constant(1.0)})
    with pytest.raises(EngineError, match="3 numbers for each are declared"):
        PRICE.predictor(Constant(1.0, 2.0))(range(2))


def test_a_record_gives_the_target_back() -> None:
    assert read_target(PRICE.record()) == PRICE
