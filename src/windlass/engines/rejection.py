"""Rows that a model rejects: they get NaN, and are explained by the fields that are at fault."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.hashing import canonical_json
from windlass.core.row_schema import MISSING_TEXT, ColumnSchema
from windlass.core.row_validator import RowValidator
from windlass.errors import Fault, RejectedRowsError

MAX_FAULTS = 100  # that one answer names
MAX_TRIALS = 2048  # predictions that may be spent on finding fields

# want of memory, files, packages or processes: no row is at fault
ENGINE_FAILURES = (MemoryError, OSError, ImportError, BrokenExecutor)

_ROW_REASON = "The model has no prediction for this row"
_MISSING_REASON = "The model does not accept a missing value here"
_CATEGORY_REASON = "The model does not know this category"
_NUMBER_REASON = "The model does not accept this number"


def predict_with_rejections(
    predict: Callable[[Batch], Prediction], batch: Batch, rejected: Prediction
) -> Prediction:
    """Predict n rows by a function that raises for all where it rejects one; that row gets NaN.

    The batch is halved until the rejected rows are alone. `rejected` is the prediction of one of them. Raises what
    is among ENGINE_FAILURES.
    """
    try:
        return predict(batch)
    except ENGINE_FAILURES:
        raise
    except Exception:  # noqa: BLE001 - a rejection, whatever the pipeline raises
        if len(batch) == 1:
            return rejected
    middle = len(batch) // 2
    halves = batch.slice(0, middle), batch.slice(middle, len(batch))
    return Prediction.concat([predict_with_rejections(predict, half, rejected) for half in halves])


@dataclass(frozen=True)
class Rejection:
    """Reason why the model rejects row `row` of a batch; `column` is None where no field alone is at fault."""

    row: int
    column: str | None
    reason: str

    @property
    def fault(self) -> Fault:
        """The place in the row and the reason, as error responses have them."""
        return {"loc": [] if self.column is None else [self.column], "msg": self.reason}

    @property
    def row_fault(self) -> Fault:
        """The place in the batch and the reason, as error responses have them."""
        return {**self.fault, "loc": [self.row, *self.fault["loc"]]}


class RejectionExplainer:
    """Finds the fields for which a model rejects a row.

    A field is at fault if a reference example, which the model predicts, is rejected with this value in its
    place. So it needs to know nothing of the model.
    """

    def __init__(self, predict: Callable[[Batch], Prediction], bundle: Bundle) -> None:
        """Keep the first reference example as a batch of one row."""
        self._predict = predict
        self._columns = bundle.schema.row.columns
        validator = RowValidator(bundle.schema.row)
        examples = bundle.json("golden.json")["rows"][:1]
        self._example = validator.to_batch(validator.parse_rows(canonical_json(examples)))

    def explain(self, batch: Batch, rejected: NDArray[np.bool_]) -> Iterator[Rejection]:
        """Yield at least one rejection for each row that is marked in `rejected` [n].

        After `MAX_TRIALS` predictions, rows are named without their fields.
        """
        trials = 0
        for row in np.flatnonzero(rejected).tolist():
            columns: Sequence[ColumnSchema] = ()
            if trials < MAX_TRIALS:
                columns = self._columns_at_fault(batch.slice(row, row + 1))
                trials += len(self._columns)
            if not columns:
                yield Rejection(row, None, _ROW_REASON)
            values = self._values(batch, row)
            for column in columns:
                yield Rejection(row, column.name, _reason(column, values[column.name]))

    def error(self, batch: Batch, prediction: Prediction) -> RejectedRowsError:
        """Returns the error that names the rows whose prediction is not finite, and their fields."""
        rejections = self.explain(batch, ~prediction.finite_rows())
        return RejectedRowsError([each.row_fault for each in islice(rejections, MAX_FAULTS)])

    def _columns_at_fault(self, row: Batch) -> list[ColumnSchema]:
        """Return the columns whose value in this batch of one row makes the model reject the reference example."""
        count = len(self._columns)
        trials = self._example.take(np.zeros(count, np.int64))
        text, end = 0, 0
        for index, column in enumerate(self._columns):
            if column.is_text:
                trials.text[index, text] = row.text[0, text]
                text += 1
            else:
                start, end = end, end + column.width
                trials.numeric[index, start:end] = row.numeric[0, start:end]
        finite = self._predict(trials).finite_rows()
        return [column for column, fits in zip(self._columns, finite, strict=True) if not fits]

    def _values(self, batch: Batch, row: int) -> dict[str, object]:
        starts = np.cumsum(
            [0, *(0 if column.is_text else column.width for column in self._columns)]
        )
        texts = iter(batch.text[row])
        return {
            column.name: next(texts) if column.is_text else batch.numeric[row, start]
            for column, start in zip(self._columns, starts.tolist(), strict=False)
        }


def _reason(column: ColumnSchema, value: object) -> str:
    if value == MISSING_TEXT or value != value:  # noqa: PLR0124 - NaN
        return _MISSING_REASON
    return _CATEGORY_REASON if column.is_text else _NUMBER_REASON
