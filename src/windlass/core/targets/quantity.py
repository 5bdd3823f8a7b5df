"""Target of a regression."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth, regression_metrics
from windlass.core.targets.numbers import NumberTarget, read_numbers
from windlass.core.targets.target import (
    FitOne,
    Json,
    TargetRecord,
    TruthColumns,
    number_schema,
)
from windlass.errors import ParameterError


@dataclass(frozen=True)
class Quantity(NumberTarget):
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

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        return {"prediction": number_schema(self.name, self.unit)}


def require_distinct_truths(name: str, truth: Truth) -> None:
    """Raises ParameterError where all test rows have the same truth: their variance is 0."""
    if len(np.unique(truth)) < 2:
        raise ParameterError(
            f"All test rows hold the same target {name!r}, so R² cannot be measured. Choose a larger test size."
        )
