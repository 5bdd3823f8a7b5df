"""Base of targets whose prediction is one number for each row, and the reading of numbers."""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.targets.target import Json, OutputArray, Predict, Target, TruthColumns, is_close
from windlass.errors import DataError, counted


class NumberTarget(Target, ABC):
    """Base of targets whose prediction is one number for each row: a quantity, or a score."""

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts the numbers."""
        return lambda frame: Prediction(values=predicted_numbers(fitted, frame))

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(values=np.array([np.nan]))

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        return {"prediction": prediction.values.item(0)}  # type: ignore[union-attr]  # set here

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns the number of each row."""
        assert prediction.values is not None
        values: list[float] = prediction.values.tolist()
        return values

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns the numbers [n]."""
        assert prediction.values is not None
        return (OutputArray("prediction", prediction.values, "prediction"),)

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        return [{"value": value} for value in self.predictions(prediction)]

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected number."""
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
