"""Scores batches of a table: validates them, predicts, and lays out predictions as columns."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.bundle import Bundle
from windlass.engines.loader import Engine
from windlass.engines.rejection import RejectionExplainer
from windlass.errors import InputError
from windlass.tables.arrow_numpy import mask_array, number_array, repeat_text
from windlass.tables.validate import RowProblem, ValidatedTable, require_columns, validate_table
from windlass.tables.writer import prediction_table

REJECT_COLUMNS = ("row", "column", "reason", "values")  # the columns of the rejects file


@dataclass(frozen=True)
class ScoredBatch:
    """Predictions of a batch, a `pa.RecordBatch`, and its validated rows, in which the others are invalid."""

    predictions: Any
    checked: ValidatedTable


class RowScorer:
    """Validates and predicts batches of a table whose schema is `table`.

    `schema` is that of the predictions: `row`, the columns to `keep`, the prediction and the model's version.
    `ignored_columns` are those of the table that neither the row has nor `keep` names.
    With `strings` every column is text, as CSV has it. Raises InputError where columns are missing.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        table: Any,
        keep: tuple[str, ...] = (),
        *,
        strings: bool = False,
    ) -> None:
        self._bundle = bundle
        self._rejections: RejectionExplainer | None = None
        self._row = bundle.schema.row
        self._target = bundle.target
        self._version = bundle.version
        self._engine = engine
        self._keep = keep
        self._strings = strings
        self._columns = [name for name in table.names if name in self._row.names]
        self.ignored_columns = self._require_known_columns(table.names)
        self.schema = self._schema(table)

    def score(self, batch: Any, numbers: NDArray[np.int64]) -> ScoredBatch:
        """Validate the rows of a batch and predict those that are valid. `numbers` [n] are those of all its rows."""
        rows = batch.select(self._columns)
        limit = max(batch.num_rows * len(self._columns), 1)
        checked = validate_table(self._row, rows, strings=self._strings, limit=limit)
        valid = np.flatnonzero(~checked.invalid)
        if not len(valid):
            return ScoredBatch(self._no_predictions, checked)
        prediction = self._engine.predict(checked.batch.take(valid))
        finite = prediction.finite_rows()
        if not finite.all():
            checked = self._with_rejections(checked, valid[~finite])
            valid, prediction = valid[finite], prediction.take(finite)
        return ScoredBatch(self._predictions(batch, numbers, valid, prediction), checked)

    def _with_rejections(
        self, checked: ValidatedTable, rejected: NDArray[np.int64]
    ) -> ValidatedTable:
        """Return the validated table with these rows, by index, as invalid: the model does not predict them."""
        if self._rejections is None:
            self._rejections = RejectionExplainer(self._engine.predict, self._bundle)
        marked = np.zeros(len(checked.batch), np.bool_)
        marked[rejected] = True
        problems = [
            RowProblem(each.row, each.column or "", each.reason)
            for each in self._rejections.explain(checked.batch, marked)
        ]
        ordered = sorted([*checked.problems, *problems], key=attrgetter("row"))
        return replace(checked, invalid=checked.invalid | marked, problems=ordered)

    @property
    def _no_predictions(self) -> Any:
        return pa.RecordBatch.from_pylist([], self.schema)

    def _predictions(
        self,
        batch: Any,
        numbers: NDArray[np.int64],
        valid: NDArray[np.int64],
        prediction: Prediction,
    ) -> Any:
        """Return the predictions of these rows, by index, as a `pa.RecordBatch`."""
        if not len(valid):
            return self._no_predictions
        selected = batch if len(valid) == batch.num_rows else batch.take(pa.array(valid))
        kept_columns = [_dense(selected.column(name)) for name in self._keep]
        version = repeat_text(self._version, len(valid))
        columns = prediction_table(prediction, self._target).columns
        arrays = [number_array(numbers[valid]), *kept_columns, *columns, version]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _require_known_columns(self, names: list[str]) -> tuple[str, ...]:
        """Return the columns that are ignored. Raises InputError."""
        for name in self._keep:
            if name not in names:
                raise InputError(
                    f"The input has no column {name!r} to keep. It has: {', '.join(names)}."
                )
        undeclared = require_columns(self._row, names, ignore_others=True)
        return tuple(name for name in undeclared if name not in self._keep)

    def _schema(self, table: Any) -> Any:
        empty = self._target.rejected().slice(0, 0)
        kept_columns = [pa.field(name, _dense_type(table.field(name).type)) for name in self._keep]
        predictions = prediction_table(empty, self._target).schema
        version = pa.field("model_version", pa.string())
        schema = pa.schema([pa.field("row", pa.int64()), *kept_columns, *predictions, version])
        for name in self._keep:
            if schema.names.count(name) > 1:
                raise InputError(
                    f"The column {name!r} cannot be kept: the output has one of that name. Rename it."
                )
        return schema


def reject_lines(
    batch: Any, numbers: NDArray[np.int64], checked: ValidatedTable
) -> Iterator[tuple[int, str, str, str]]:
    """Yield a line for every problem: the row's number, the column, the reason, the row's values as JSON."""
    if not checked.problems:
        return
    rows = batch.filter(mask_array(checked.invalid)).to_pylist()
    values = {
        row: json.dumps(cells, ensure_ascii=False, default=str)
        for row, cells in zip(np.flatnonzero(checked.invalid).tolist(), rows, strict=True)
    }
    for problem in checked.problems:
        yield int(numbers[problem.row]), problem.column, problem.reason, values[problem.row]


def _dense_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _dense(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
