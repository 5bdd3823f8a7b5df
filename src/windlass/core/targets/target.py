"""The base of all kinds of target: what a target knows of its data, models, metrics and answers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth

if TYPE_CHECKING:
    from windlass.core.targets.classes import Classes

Label = str | int | bool
Json = dict[str, Any]
Predict = Callable[[Any], Prediction]  # a data frame of n rows to their prediction
Encode = Callable[[Truth], Any]  # the truth of n rows to what an estimator is fitted to
FitOne = Callable[
    ..., Any
]  # (estimator, encode, arguments of its fit by truth) to the fitted estimator
TOLERANCE = 1e-6  # within which an engine reproduces its reference examples


def class_key(label: Label) -> str:
    """Returns a class label as text, for JSON keys, column names and metric names."""
    return label if isinstance(label, str) else json.dumps(label)


class TargetRecord(BaseModel):
    """Target as `schema.json` holds it.

    `kind` is None for `classes`, which are in the order of all probabilities, and for a quantity.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    classes: tuple[Label, ...] | None = None
    unit: str | None = None
    kind: str | None = None
    outputs: "tuple[TargetRecord, ...] | None" = None
    quantiles: tuple[float, ...] | None = None
    contamination: float | None = None
    threshold: float | None = None
    group: str | None = None

    @model_serializer(mode="wrap")
    def _without_nulls(self, serialize: SerializerFunctionWrapHandler) -> Json:
        """Leaves out what other kinds of target have."""
        fields: Json = serialize(self)
        always = ("name", "classes", "unit")
        return {key: value for key, value in fields.items() if key in always or value is not None}

    def compared(self) -> "TargetRecord":
        """Returns what two versions must have in common to be compared: not units, and not what was learned."""
        outputs = None if self.outputs is None else tuple(each.compared() for each in self.outputs)
        left_out = {"unit": None, "contamination": None, "threshold": None}
        return self.model_copy(update={**left_out, "outputs": outputs})


class TruthColumns(Protocol):
    """The columns of data()'s table that hold the truth; names rows in errors as a user finds them."""

    def __len__(self) -> int:
        """Returns the number of rows."""

    def values(self, name: str) -> Sequence[Any] | None:
        """Returns a column's values [n], None where one is missing; None where the table has no such column."""

    def row(self, number: int, column: str, value: Any) -> str:
        """Describes the place of a row."""

    @property
    def location(self) -> str:
        """Text that names where a user corrects or drops rows."""


@dataclass(frozen=True)
class OutputArray:
    """Array of predictions as tensors and tables have it.

    `values` are [n], or [n, c] with a key for each column. With `classes`, they are indices of these. A table has
    the column `column`, or `column_key` for each of `keys`; a tensor is named `name`.
    """

    name: str
    values: NDArray[Any]
    column: str
    keys: tuple[str, ...] = ()
    classes: tuple[Label, ...] | None = None

    @property
    def matrix(self) -> NDArray[Any]:
        """The values [n, c], a column for each of `columns`."""
        return self.values if self.values.ndim == 2 else self.values[:, np.newaxis]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in a table."""
        return tuple(f"{self.column}_{key}" for key in self.keys) or (self.column,)


class Target(ABC):
    """What a project predicts.

    `truth` is what metrics see of data()'s columns: int64 [n] of class indices, float64 [n], or float64 [n, k].
    """

    name: str
    KIND: ClassVar[str | None] = None
    IS_SUPERVISED: ClassVar[bool] = True
    # the extra column whose equal values are one group, which is never divided between training and test
    group: str | None = None

    @abstractmethod
    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of data()'s table that hold the truth."""
        return (self.name,)

    @property
    def truth_shape(self) -> tuple[int, ...]:
        """Shape of the truth of one row: () for one number, (k,) for several."""
        return ()

    def digest_header(self) -> Json:
        """Returns what the digest of the data says of the target."""
        return {"target": self.record().model_dump(mode="json", exclude_none=True)}

    @abstractmethod
    def read(self, columns: TruthColumns) -> Truth:
        """Returns the truth of n rows. Raises DataError for a value that was not declared."""

    def class_labels(self, truth: Truth) -> "Iterator[tuple[Classes, NDArray[np.int64]]]":  # noqa: ARG002
        """Yields each target of classes within, with its class indices [n]; a split keeps every class on both sides."""
        yield from ()

    def predicted_truth(self, truth: Truth) -> Truth:
        """Returns what is predicted of the truth, without what only says which rows belong together."""
        return truth

    def fit_order(self, truth: Truth) -> NDArray[np.int64]:
        """Returns the order [n] of the training rows in which an estimator is fitted to them."""
        return np.arange(len(truth))

    @abstractmethod
    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns what `build` made, fitted by `fit_one`. Raises ParameterError where it cannot be."""

    def check_fitted(self, fitted: Any, model: str) -> None:  # noqa: B027 - most need no method
        """Raises ParameterError where the fitted estimator of the candidate `model` lacks a method."""

    def learn(
        self,
        fitted: Any,  # noqa: ARG002
        predict_training_rows: Callable[[], Prediction],  # noqa: ARG002
    ) -> "Target":
        """Returns the target with what it takes from the fitted estimator and its predictions of the training rows."""
        return self

    @abstractmethod
    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts a data frame by a fitted estimator. Raises EngineError for another's."""

    @abstractmethod
    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""

    @abstractmethod
    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the metrics by which two models can be compared."""

    @abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` may compute; gates can use them."""

    @abstractmethod
    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the metrics of the test rows. Raises ParameterError where they cannot be measured."""

    def confusion(self, truth: Truth, prediction: Prediction) -> Json | None:  # noqa: ARG002
        """Returns what `confusion_matrix.json` holds; None without classes."""
        return None

    def counters(self) -> tuple[str, ...]:
        """Returns the names of what servers count: "" is every row, others are predicted classes."""
        return ("",)

    def count(self, prediction: Prediction) -> Sequence[int]:
        """Returns how many rows to add to each counter."""
        return (len(prediction),)

    @abstractmethod
    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""

    @abstractmethod
    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns for each row what its answer has as `prediction`."""

    def batch_answer(self, prediction: Prediction) -> dict[str, list[Any]]:
        """Returns the predictions of several rows in the form of `/predict_batch`."""
        return {"predictions": self.predictions(prediction)}

    def row_answers(self, prediction: Prediction) -> list[Json]:
        """Returns the predictions of several rows, each in the form of `/predict`."""
        answers = self.batch_answer(prediction)
        names = ["prediction" if name == "predictions" else name for name in answers]
        return [dict(zip(names, row, strict=True)) for row in zip(*answers.values(), strict=True)]

    def instances(self, prediction: Prediction) -> list[Any]:
        """Returns one JSON value for each row, for protocols that have a single list of predictions."""
        return self.predictions(prediction)

    @abstractmethod
    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns the predictions as arrays, for tensors and tables."""

    @abstractmethod
    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field that `row_answer` returns."""

    def batch_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field that `batch_answer` returns."""
        names = self.batch_answer(self.rejected())
        fields = self.answer_schema()
        return {
            name: {
                "type": "array",
                "items": fields["prediction" if name == "predictions" else name],
            }
            for name in names
        }

    @abstractmethod
    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them, at full precision."""

    @abstractmethod
    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row's prediction is that of a reference example, within 1e-6."""


def number_schema(name: str, unit: str | None) -> Json:
    """Returns the JSON Schema of a predicted number."""
    return {"type": "number", "description": f"{name}, in {unit}" if unit else name}


def object_schema(properties: Mapping[str, Json]) -> Json:
    """Returns the JSON Schema of an object that has exactly these members."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def is_close(value: float, expected: float) -> bool:
    """Whether a number is the expected one, within 1e-6 of its size or of 1."""
    return abs(value - expected) <= TOLERANCE * max(1.0, abs(expected))
