"""Reads files as tables with the types that a row declares: `windlass.read_table`, and the data of a training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel

from windlass.core.row import read_row
from windlass.core.row_schema import RowSchema
from windlass.errors import TableError, counted
from windlass.tables.arrow_numpy import mask_array
from windlass.tables.csv_reader import BrokenLine, BrokenLines, RowNumbers
from windlass.tables.line_numbers import find_lines
from windlass.tables.reader import TableReader
from windlass.tables.validate import ValidatedTable, require_columns, validate_table
from windlass.tables.writer import row_table, table_format

_MAX_LISTED = 5  # rows that an error names


@dataclass(frozen=True)
class RejectedRow:
    """A row of a file that does not fit: its number from 0, its line where the file has lines, and one reason.

    `values` are the row's values as JSON, or the text of a line that is not a row.
    """

    row: int
    line: int | None
    column: str
    reason: str
    values: str

    def __str__(self) -> str:
        position = f"row {self.row} (counted from 0)" if self.line is None else f"line {self.line}"
        return (
            f"{position}, {self.column}: {self.reason}"
            if self.column
            else f"{position}: {self.reason}"
        )


@dataclass(frozen=True)
class DeclaredTable:
    """Rows of a file: the declared columns with their types, then the others; `other_columns` are their names."""

    rows: Any
    rejected: list[RejectedRow]
    other_columns: tuple[str, ...]


@overload
def read_table(path: str | Path, row: type[BaseModel]) -> pa.Table: ...
@overload
def read_table(path: str | Path, row: type[BaseModel], *, lenient: Literal[False]) -> pa.Table: ...
@overload
def read_table(
    path: str | Path, row: type[BaseModel], *, lenient: Literal[True]
) -> tuple[pa.Table, pa.Table]: ...
def read_table(path: str | Path, row: type[BaseModel], *, lenient: bool = False) -> Any:
    """Reads rows from a CSV, Parquet, Arrow or Excel file as `windlass predict` and `train --data` read them.

    Returns a pyarrow Table of n rows: the columns of `row` in its order, with its types (float64, int64, bool, date32,
    string; null where a value is missing), then the other columns of the file as they are, which in CSV is text.
    `.to_pandas()` makes a data frame of it. With `lenient`, rows that do not fit are left out, and the result is two
    tables: the rows, and for each problem of the others `row` (from 0), `line` (from 1; null in Parquet and Arrow),
    `column`, `reason` and `values` (JSON). Of Excel, the first sheet is read.
    Raises TableError where a row does not fit, which names lines and columns, and InputError for a file that cannot be
    read.
    """
    table = read_declared_table(Path(path), read_row(row), lenient=lenient)
    if not lenient:
        return table.rows
    kinds = {"row": pa.int64(), "line": pa.int64()}
    names = ("row", "line", "column", "reason", "values")
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    return table.rows, pa.Table.from_pylist([vars(each) for each in table.rejected], schema)


def read_declared_table(path: Path, schema: RowSchema, *, lenient: bool = False) -> DeclaredTable:
    """Reads the rows of a file by their schema.

    Unless `lenient`, raises TableError for rows that do not fit.
    """
    broken = BrokenLines()
    on_broken = broken.add if lenient else None
    with TableReader(path, table_format(path), on_broken, schema.csv) as reader:
        undeclared = require_columns(schema, reader.names, ignore_others=True)
        rows = _DeclaredRows(schema, [*undeclared], strings=reader.has_text_only)
        for batch in reader:
            rows.add(batch, broken.take())
        rows.add_broken(broken.take())
        form = reader.form
    rejected = sorted(rows.rejected, key=attrgetter("row"))
    if form == "xlsx":
        rejected = [replace(each, line=each.row + 2) for each in rejected]
    if form == "csv" and rejected:
        numbers = {each.row for each in rejected}
        lines = find_lines(path, schema.csv, numbers, line_per_record=lenient)
        rejected = [replace(each, line=lines.get(each.row)) for each in rejected]
    if rejected and not lenient:
        raise _rejection(path, schema, rejected, rows)
    return DeclaredTable(rows.table(), rejected, undeclared)


class _DeclaredRows:
    """Collects validated batches, typed, and the problems of the rows that are left out."""

    def __init__(self, schema: RowSchema, undeclared: Sequence[str], *, strings: bool) -> None:
        self._schema = schema
        self._undeclared = undeclared
        self._strings = strings
        self._numbers = RowNumbers()
        self._batches: list[Any] = []
        self.rejected: list[RejectedRow] = []
        self.count = 0
        self.invalid = 0

    def add(self, batch: Any, broken: list[BrokenLine]) -> None:
        """Adds the valid rows of a batch; `broken` are the lines reported before."""
        self.add_broken(broken)
        numbers = self._numbers.take(batch.num_rows, broken)
        columns = [name for name in batch.schema.names if name in self._schema.names]
        limit = max(batch.num_rows * len(columns), 1)
        checked = validate_table(
            self._schema, batch.select(columns), strings=self._strings, limit=limit
        )
        self.count += batch.num_rows
        self.invalid += int(checked.invalid.sum())
        self.rejected += _rejected_rows(batch, numbers, checked)
        typed = row_table(self._schema, checked.batch, dates_as_text=False)
        arrays = [*typed.columns, *(_plain(batch.column(name)) for name in self._undeclared)]
        whole = pa.RecordBatch.from_arrays(arrays, [*typed.schema.names, *self._undeclared])
        self._batches.append(whole.filter(mask_array(~checked.invalid)))

    def add_broken(self, lines: list[BrokenLine]) -> None:
        """Adds lines that are not rows."""
        self.count += len(lines)
        self.invalid += len(lines)
        self.rejected += [RejectedRow(each.row, None, "", each.reason, each.text) for each in lines]

    def table(self) -> Any:
        """Returns all valid rows."""
        return pa.Table.from_batches(self._batches)


def _plain(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _rejected_rows(
    batch: Any, numbers: NDArray[np.int64], checked: ValidatedTable
) -> Iterator[RejectedRow]:
    if not checked.problems:
        return
    rows = batch.filter(mask_array(checked.invalid)).to_pylist()
    indices = np.flatnonzero(checked.invalid).tolist()
    values = {
        index: json.dumps(cells, ensure_ascii=False, default=str)
        for index, cells in zip(indices, rows, strict=True)
    }
    for problem in checked.problems:
        number = int(numbers[problem.row])
        yield RejectedRow(number, None, problem.column, problem.reason, values[problem.row])


def _rejection(
    path: Path, schema: RowSchema, rejected: Sequence[RejectedRow], rows: _DeclaredRows
) -> TableError:
    listed = "; ".join(map(str, rejected[:_MAX_LISTED]))
    more = "; …" if len(rejected) > _MAX_LISTED else ""
    text = f"{rows.invalid:,} of {counted(rows.count, 'row')} do not fit {schema.title}: {listed}{more}."
    return TableError(f"{path}: {text} Correct or drop these rows.", text)
