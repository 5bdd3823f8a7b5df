"""Target of a regression that predicts quantiles of a quantity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth, mean_metric
from windlass.core.targets.estimators import estimators_by_part, predicted_columns
from windlass.core.targets.numbers import read_numbers
from windlass.core.targets.target import (
    FitOne,
    Json,
    OutputArray,
    Predict,
    Target,
    TargetRecord,
    TruthColumns,
    is_close,
    number_schema,
    object_schema,
)
from windlass.errors import EngineError, ProjectError


@dataclass(frozen=True)
class Quantiles(Target):
    """Target of a regression that predicts quantiles: `Quantiles("price", quantiles=(0.1, 0.5, 0.9), unit="EUR")`.

    `build` of a candidate returns a dict with an estimator for each quantile, or one estimator that predicts all of
    them [n, q]. A row's quantiles are sorted, so that a higher quantile is never below a lower one. Its `prediction`
    is the median, or the quantile nearest to it. Raises ProjectError unless the quantiles increase between 0 and 1.
    """

    name: str
    quantiles: tuple[float, ...]
    unit: str | None = None
    KIND: ClassVar[str | None] = "quantiles"

    def __init__(
        self, name: str, quantiles: Sequence[float] = (0.1, 0.5, 0.9), unit: str | None = None
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "quantiles", tuple(quantiles))
        object.__setattr__(self, "unit", unit)
        levels = [0.0, *self.quantiles, 1.0]
        if len(levels) < 4 or any(a >= b for a, b in pairwise(levels)):
            raise ProjectError(
                f"Target {name!r} needs two or more quantiles that increase between 0 and 1, such as (0.1, 0.5, 0.9);"
                f" got {self.quantiles!r}."
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """The quantiles as text, for JSON keys, column names and metric names."""
        return tuple(f"{quantile:g}" for quantile in self.quantiles)

    @property
    def median(self) -> int:
        """Index of the quantile nearest to 0.5; of two, the lower."""
        return int(np.argmin([round(abs(quantile - 0.5), 12) for quantile in self.quantiles]))

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        return TargetRecord(
            name=self.name, unit=self.unit, kind=self.KIND, quantiles=self.quantiles
        )

    def read(self, columns: TruthColumns) -> Truth:
        """Returns the quantities [n]. Raises DataError for one that is missing, infinite or no number."""
        return read_numbers(self.name, columns)

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns a fitted estimator for each quantile, or one that predicts all."""
        by_quantile = estimators_by_part(built, self.quantiles, "the quantiles")
        if by_quantile is None:
            return fit_one(built, _encode)
        return {quantile: fit_one(each, _encode) for quantile, each in by_quantile.items()}

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts the quantiles [n, q] of each row, sorted."""
        if isinstance(fitted, Mapping):
            if tuple(fitted) != self.quantiles:
                raise EngineError(
                    f"The pipeline predicts the quantiles {list(fitted)}, the bundle declares {list(self.quantiles)}."
                )
            members = [partial(predicted_columns, each) for each in fitted.values()]
        else:
            members = [partial(predicted_columns, fitted)]
        width = len(self.quantiles) // len(members)

        def predict(frame: Any) -> Prediction:
            values = np.hstack([member(frame, width) for member in members])
            return Prediction(values=np.sort(values, axis=1))

        return predict

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(values=np.full((1, len(self.quantiles)), np.nan))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the metrics by which two models can be compared."""
        return (
            mean_metric(
                "pinball_loss", lambda t, p: self._losses(t, p).mean(axis=1), less_is_better=True
            ),
            *(
                mean_metric(
                    f"pinball_loss_{key}",
                    partial(self._losses_of, index),
                    less_is_better=True,
                )
                for index, key in enumerate(self.keys)
            ),
            mean_metric("mae", lambda t, p: np.abs(self._medians(p) - t), less_is_better=True),
        )

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes."""
        compared = (metric.name for metric in self.compared_metrics())
        coverages = (f"coverage_{key}" for key in self.keys)
        return (*compared, *coverages, "interval_coverage", "interval_width")

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the metrics of the test rows.

        `coverage_q` is the share of rows whose truth is at most their quantile q: near q for a good model.
        `interval_coverage` is the share between the lowest and the highest quantile, `interval_width` their mean
        distance.
        """
        values = _values(prediction)
        low, high = values[:, 0], values[:, -1]
        coverages = np.mean(truth[:, np.newaxis] <= values, axis=0).tolist()
        return {
            **{metric.name: metric.value(truth, prediction) for metric in self.compared_metrics()},
            **{f"coverage_{key}": value for key, value in zip(self.keys, coverages, strict=True)},
            "interval_coverage": float(np.mean((low <= truth) & (truth <= high))),
            "interval_width": float(np.mean(high - low)),
        }

    def _losses(self, truth: Truth, prediction: Prediction) -> NDArray[np.float64]:
        """Returns the pinball loss [n, q]: R. Koenker, G. Bassett (1978), Econometrica 46:33-50."""
        error = truth[:, np.newaxis] - _values(prediction)
        levels = np.array(self.quantiles)
        losses: NDArray[np.float64] = np.maximum(levels * error, (levels - 1) * error)
        return losses

    def _losses_of(self, index: int, truth: Truth, prediction: Prediction) -> NDArray[np.float64]:
        return self._losses(truth, prediction)[:, index]

    def _medians(self, prediction: Prediction) -> NDArray[np.float64]:
        return _values(prediction)[:, self.median]

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        (answer,) = self.row_answers(prediction)
        return answer

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns the median of each row."""
        medians: list[float] = self._medians(prediction).tolist()
        return medians

    def batch_answer(self, prediction: Prediction) -> dict[str, list[Any]]:
        """Returns the median and all quantiles of each row."""
        return {
            "predictions": self.predictions(prediction),
            "quantiles": self.instances(prediction),
        }

    def instances(self, prediction: Prediction) -> list[Any]:
        """Returns for each row an object of its quantiles."""
        rows = _values(prediction).tolist()
        return [dict(zip(self.keys, row, strict=True)) for row in rows]

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns medians [n] and quantiles [n, q]."""
        return (
            OutputArray(
                "prediction", np.ascontiguousarray(self._medians(prediction)), "prediction"
            ),
            OutputArray("quantiles", _values(prediction), "quantile", self.keys),
        )

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        number = number_schema(self.name, self.unit)
        return {"prediction": number, "quantiles": object_schema(dict.fromkeys(self.keys, number))}

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        return [{"values": values} for values in _values(prediction).tolist()]

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected quantiles."""
        pairs = zip(_values(prediction)[index].tolist(), expected["values"], strict=True)
        return all(is_close(value, wanted) for value, wanted in pairs)


def _encode(truth: Truth) -> Truth:
    return truth


def _values(prediction: Prediction) -> NDArray[np.float64]:
    assert prediction.values is not None
    return prediction.values
