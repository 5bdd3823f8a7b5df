"""Target of a regression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth, regression_metrics
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
)
from windlass.errors import DataError, ParameterError, counted


@dataclass(frozen=True)
class Quantity(Target):
    """Target of a regression: its column and its unit."""

    name: str
    unit: str | None = None

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        return TargetRecord(name=self.name, unit=self.unit)

    def digest_header(self) -> Json:
        """Returns what the digest of the data says of the target."""
        return {"target": self.name, "classes": []}

    def read(self, columns: TruthColumns) -> Truth:
        """Returns the quantities [n]. Raises DataError for one that is missing, infinite or no number."""
        return read_numbers(self.name, columns)

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns the estimator, fitted to the quantities."""
        return fit_one(built, self.encode)

    def encode(self, truth: Truth) -> NDArray[Any]:
        """Returns the quantities [n]."""
        return truth

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts quantities."""
        return lambda frame: Prediction(values=predicted_numbers(fitted, frame))

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(values=np.array([np.nan]))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the metrics by which two models can be compared."""
        return regression_metrics()

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes."""
        return tuple(metric.name for metric in self.compared_metrics())

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the metrics of the test rows. Raises ParameterError where all have the same truth."""
        require_distinct_truths(self.name, truth)
        return {metric.name: metric.value(truth, prediction) for metric in self.compared_metrics()}

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        return {"prediction": prediction.values.item(0)}  # type: ignore[union-attr]  # set here

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns the quantity of each row."""
        assert prediction.values is not None
        values: list[float] = prediction.values.tolist()
        return values

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns the quantities [n]."""
        assert prediction.values is not None
        return (OutputArray("prediction", prediction.values, "prediction"),)

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        return {"prediction": number_schema(self.name, self.unit)}

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        return [{"value": value} for value in self.predictions(prediction)]

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected quantity."""
        assert prediction.values is not None
        return is_close(prediction.values.item(index), expected["value"])


def read_numbers(name: str, columns: TruthColumns) -> NDArray[np.float64]:
    """Returns a column of finite numbers [n]. Raises DataError, which names the first row without one."""
    values = columns.values(name) or ()
    numbers = to_floats(name, values)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        first = int(bad[0])
        raise DataError(
            f"Target {name!r}: {len(bad)} of {counted(len(values), 'row')} are missing or infinite, the first is"
            f" {columns.row(first, name, values[first])}. Drop these rows in {columns.location}."
        )
    return numbers


def to_floats(name: str, values: Sequence[Any]) -> NDArray[np.float64]:
    """Returns values as numbers [n], NaN for None. Raises DataError for text."""
    try:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Target {name!r} holds values that are not numbers: {error}.") from error


def predicted_numbers(fitted: Any, frame: Any) -> NDArray[np.float64]:
    """Returns the numbers [n] that an estimator predicts. Raises ValueError for another shape."""
    return np.asarray(fitted.predict(frame), np.float64).reshape(len(frame))


def require_distinct_truths(name: str, truth: Truth) -> None:
    """Raises ParameterError where all test rows have the same truth: their variance is 0."""
    if len(np.unique(truth)) < 2:
        raise ParameterError(
            f"All test rows hold the same target {name!r}, so R² cannot be measured. Choose a larger test size."
        )
