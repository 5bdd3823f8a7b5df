"""Writes tables as streams of record batches, and lays out predictions as columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from windlass.core.batch import Prediction
from windlass.core.target import Label, class_key
from windlass.errors import InputError
from windlass.tables.arrow_numpy import mask_array, number_array, text_array

_FORMS = {".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow"}


def table_format(path: Path) -> str:
    """Return the format that a file's suffix names: csv, parquet or arrow. Raises InputError."""
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise InputError(
            f"{path} is of no known form. Name a file that ends in .csv, .parquet or .arrow."
        )
    return form


@contextmanager
def open_writer(sink: Path | BinaryIO, schema: Any, form: str) -> Iterator[Any]:
    """Open a writer with `write_batch(pa.RecordBatch)`, closed at the end. A sink is left open.

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


def probability_column(label: Label) -> str:
    """Return the name of the column that holds the probability of a class."""
    return f"probability_{class_key(label)}"


def prediction_table(prediction: Prediction, classes: Sequence[Label] | None) -> Any:
    """Return a `pa.RecordBatch` of n rows: `prediction`, and for classes a `probability_<class>` float64 each."""
    if prediction.values is not None:
        return pa.RecordBatch.from_arrays([number_array(prediction.values)], ["prediction"])
    assert prediction.labels is not None
    assert prediction.probabilities is not None
    assert classes is not None
    arrays = [_labels(prediction.labels, classes)]
    arrays += [number_array(column) for column in prediction.probabilities.T]
    names = ["prediction", *(probability_column(label) for label in classes)]
    return pa.RecordBatch.from_arrays(arrays, names)


def _labels(labels: Any, classes: Sequence[Label]) -> Any:
    if isinstance(classes[0], bool):
        return mask_array(np.array(classes, np.bool_)[labels])
    if isinstance(classes[0], int):
        return number_array(np.array(classes, np.int64)[labels])
    return text_array([str(label) for label in classes]).take(number_array(labels))
