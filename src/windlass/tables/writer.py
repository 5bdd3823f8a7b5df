"""Writes tables as streams of record batches; builds the columns of predictions and of validated rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.row_schema import MISSING_TEXT, ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import Label, OutputArray, Target
from windlass.core.timestamps import microseconds_from_seconds
from windlass.errors import InputError
from windlass.tables.arrow_numpy import mask_array, number_array, text_array

_FORMS = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow"}
_READ_FORMS = _FORMS | {".xlsx": "xlsx"}


def table_format(path: Path, *, written: bool = False) -> str:
    """Return the format that a file's suffix names: csv, parquet or arrow, and xlsx unless it is to be `written`.

    Raises InputError.
    """
    form = (_FORMS if written else _READ_FORMS).get(path.suffix.lower())
    if form is None:
        endings = ".csv, .parquet or .arrow" if written else ".csv, .parquet, .arrow or .xlsx"
        raise InputError(f"{path} has an unknown format. Name a file that ends in {endings}.")
    return form


@contextmanager
def open_writer(sink: Path | BinaryIO, schema: Any, form: str) -> Iterator[Any]:
    """Open a writer with `write_batch(pa.RecordBatch)`, closed at the end; a sink is left open.

    `arrow` is Arrow's file format on a path, and its stream on a sink. Raises InputError where the
    form cannot hold a column.
    """
    target = str(sink) if isinstance(sink, Path) else sink
    try:
        with _writer(target, schema, form) as writer:
            yield writer
    except pa.ArrowException as error:
        raise InputError(
            f"The table cannot be written as {form}: {str(error).splitlines()[0]}. Choose another form."
        ) from error


def _writer(target: Any, schema: Any, form: str) -> Any:
    if form == "parquet":
        import pyarrow.parquet as pq

        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        return pq.ParquetWriter(target, schema, use_dictionary=texts)  # floats rarely repeat
    if form == "arrow":
        new = pa.ipc.new_file if isinstance(target, str) else pa.ipc.new_stream
        return new(target, schema)
    import pyarrow.csv as pv

    return pv.CSVWriter(target, schema)


def prediction_table(prediction: Prediction, target: Target) -> Any:
    """Return a `pa.RecordBatch` of n rows: `prediction`, and for classes a `probability_<class>` float64 each.

    Other kinds of target have columns of their own.
    """
    arrays = target.arrays(prediction)
    columns = [column for array in arrays for column in _columns(array)]
    return pa.RecordBatch.from_arrays(columns, [name for each in arrays for name in each.columns])


def _columns(array: OutputArray) -> Iterator[Any]:
    if array.classes is not None:
        yield _labels(array.values, array.classes)
    elif array.values.dtype == np.bool_:
        yield mask_array(array.values)
    else:
        yield from map(number_array, array.matrix.T)


def _labels(labels: Any, classes: Sequence[Label]) -> Any:
    if isinstance(classes[0], bool):
        return mask_array(np.array(classes, np.bool_)[labels])
    if isinstance(classes[0], int):
        return number_array(np.array(classes, np.int64)[labels])
    return text_array([str(label) for label in classes]).take(number_array(labels))


def row_table(schema: RowSchema, batch: Batch, *, dates_as_text: bool = True) -> Any:
    """Returns a `pa.RecordBatch` of n validated rows: a column each, with the values that JSON would carry.

    Unless `dates_as_text`, dates are date32.
    """
    texts, end = iter(batch.text.T), 0
    arrays = []
    for column in schema.columns:
        if column.is_text:
            arrays.append(_text_column(next(texts)))
            continue
        start, end = end, end + column.width
        if column.kind is ColumnKind.VECTOR:
            arrays.append(_vector_column(batch.numeric[:, start:end]))
        else:
            arrays.append(_number_column(column, batch.numeric[:, start]))
    if not dates_as_text:
        arrays = [
            array.cast(pa.date32()) if column.kind is ColumnKind.DATE else array
            for column, array in zip(schema.columns, arrays, strict=True)
        ]
    return pa.RecordBatch.from_arrays(arrays, list(schema.names))


def _text_column(values: NDArray[np.object_]) -> Any:
    return _with_nulls(text_array(values.tolist()), values != MISSING_TEXT)


def _vector_column(values: NDArray[np.float64]) -> Any:
    """Returns vectors [n, length] as an Arrow array of lists."""
    present = ~np.isnan(values[:, 0])
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    numbers = number_array(values.ravel())
    return pa.ListArray.from_arrays(number_array(offsets), numbers, mask=mask_array(~present))


def _number_column(column: ColumnSchema, values: NDArray[np.float64]) -> Any:
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    match column.kind:
        case ColumnKind.NUMBER:
            array = number_array(filled)
        case ColumnKind.INTEGER:
            array = number_array(filled.astype(np.int64))
        case ColumnKind.BOOLEAN:
            array = mask_array(filled != 0)
        case ColumnKind.DATETIME:
            array = text_array(_time_texts(filled).tolist())
        case _:  # a date, in days
            array = number_array(filled.astype(np.int32)).cast(pa.date32()).cast(pa.string())
    return _with_nulls(array, present)


def _time_texts(seconds: NDArray[np.float64]) -> NDArray[np.str_]:
    """Returns times [n] in UTC as JSON has them: microseconds only where there are some."""
    microseconds = microseconds_from_seconds(seconds).astype("M8[us]")
    whole = microseconds.astype("M8[s]")
    texts = np.where(
        whole == microseconds,
        np.datetime_as_string(whole).astype("U26"),
        np.datetime_as_string(microseconds),
    )
    return np.char.add(texts, "+00:00")


def _with_nulls(array: Any, present: NDArray[np.bool_]) -> Any:
    """Returns the array, null where `present` is false. (pyarrow's own conversion to null imports pandas.)"""
    if present.all():
        return array
    _, *buffers = array.buffers()
    validity = mask_array(present).buffers()[1]
    return pa.Array.from_buffers(array.type, len(array), [validity, *buffers])
