"""Reads the table that a project is made from: CSV, Parquet or Excel, as distinct texts of each column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.csv_format import CsvFormat
from windlass.core.error_descriptions import install_command
from windlass.errors import DataError
from windlass.scaffold.csv_detection import CsvDialect, detect_dialect
from windlass.tables.reader import TableReader

FORMS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".xlsx": "xlsx"}


@dataclass(frozen=True)
class SourceColumn:
    """Column of a table: its distinct texts [u], how often each occurs, and the code [n] of every row.

    `codes` are indices of `texts`, -1 where the cell is null. `stored_as` is the type that the file gives the
    column, such as `double`; None in CSV, where every cell is text.
    """

    name: str
    texts: Any  # pa.StringArray [u]
    codes: NDArray[np.int32]
    stored_as: str | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows hold each of the distinct texts [u]."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))


@dataclass(frozen=True)
class SourceTable:
    """Table that was read: its file, its columns of `rows` rows, and how CSV is written."""

    file: Path
    form: str
    rows: int
    columns: tuple[SourceColumn, ...]
    dialect: CsvDialect | None = None

    @property
    def file_name(self) -> str:
        """The name of the file in a project: text ends with `.csv`, as all readers expect."""
        return f"{self.file.stem}.csv" if self.form == "csv" else self.file.name.lower()


def read_source(file: Path) -> SourceTable:
    """Read a CSV, Parquet or Excel file, by the ending of its name.

    Raises DataError for a file that does not exist or is of another kind, InputError for one that cannot be read.
    """
    if file.is_dir() or not file.exists():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise DataError(f"{file} {what}. Name a CSV, Parquet or Excel file with --from-csv.")
    form = FORMS.get(file.suffix.lower())
    if form is None:
        raise DataError(
            f"{file} is not known by its ending. Use a file whose name ends with {', '.join(FORMS)}."
        )
    if form == "xlsx":
        _require_calamine(file)
    try:
        return _read_csv(file) if form == "csv" else _read_typed(file, form)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error


def _require_calamine(file: Path) -> None:
    try:
        import python_calamine  # noqa: F401 - the reader imports it again
    except ModuleNotFoundError:
        raise DataError(
            f"{file} is an Excel file, and reading it needs one more package. Install it:"
            f" {install_command('excel')}. Or save the sheet as CSV."
        ) from None


def _read_csv(file: Path) -> SourceTable:
    dialect = detect_dialect(file)
    csv = CsvFormat(delimiter=dialect.delimiter, encoding=dialect.encoding)
    with TableReader(file, "csv", csv=csv) as reader:
        encoders = [_Encoder() for _ in reader.names]
        rows = _encode(reader, encoders)
        names = reader.names
    columns = tuple(
        encoder.column(name, None) for name, encoder in zip(names, encoders, strict=True)
    )
    return SourceTable(file, "csv", rows, columns, dialect)


def _read_typed(file: Path, form: str) -> SourceTable:
    with TableReader(file, form) as reader:
        encoders = [_Encoder() for _ in reader.names]
        kinds = [None if form == "xlsx" else _kind(field.type) for field in reader.schema]
        rows = _encode(reader, encoders)
        names = reader.names
    columns = tuple(
        encoder.column(name, kind)
        for name, encoder, kind in zip(names, encoders, kinds, strict=True)
    )
    return SourceTable(file, form, rows, columns)


def _kind(kind: Any) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "string" if pa.types.is_large_string(kind) else str(kind)


def _encode(batches: Iterator[Any] | TableReader, encoders: list["_Encoder"]) -> int:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for encoder, array in zip(encoders, batch.columns, strict=True):
            encoder.add(array)
    return rows


class _Encoder:
    """Collects a column batch by batch: its distinct texts, each once, and their codes."""

    def __init__(self) -> None:
        self._parts: list[Any] = []

    def add(self, array: Any) -> None:
        """Adds the cells of a batch; what Arrow cannot write as text, such as a list, is null."""
        self._parts.append(_as_text(array))

    def column(self, name: str, stored_as: str | None) -> SourceColumn:
        """Returns the column that was collected, and lets go of its cells."""
        cells = pa.chunked_array(self._parts, pa.large_string()).combine_chunks()
        self._parts.clear()
        encoded = cells.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return SourceColumn(name, encoded.dictionary, codes, stored_as)


def _as_text(array: Any) -> Any:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    if pa.types.is_binary(array.type) or pa.types.is_nested(array.type):
        return pa.nulls(len(array), pa.large_string())
    return array.cast(pa.large_string())
