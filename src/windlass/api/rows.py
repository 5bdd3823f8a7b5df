"""Reads rows that a caller of the Python API gives, as a server reads them: validated batches, in their order."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from windlass.core.batch import Batch
from windlass.core.json_rows import json_rows
from windlass.core.row_validator import MAX_FAULTS, RowValidator
from windlass.errors import Fault, InputError, RowsError, counted
from windlass.tables.frames import RowSource, row_source, to_arrow
from windlass.tables.reader import BATCH_ROWS, TableReader
from windlass.tables.validate import require_columns, validate_table
from windlass.tables.writer import table_format

_JSON_ROWS = 1 << 10  # parsed at a time, so that every fault of a piece is described


@dataclass(frozen=True)
class ValidRows:
    """Validated rows as batches, and the form that their answers get."""

    source: RowSource
    batches: list[Batch]


def read_rows(validator: RowValidator, rows: object) -> ValidRows:
    """Reads a frame, mappings or the file at a path, and validates each row.

    Raises InputError for what cannot be read, RowsError where rows are invalid or there are none.
    """
    source = row_source(rows)
    if isinstance(rows, str | Path):
        batches, invalid, faults = _read_file(validator, Path(rows))
    elif source.kind is not None:
        table = to_arrow(rows, source.kind)
        table = table.select(_declared_columns(validator, table.column_names, depth=4))
        slices = (table.slice(at, BATCH_ROWS) for at in range(0, table.num_rows, BATCH_ROWS))
        batches, invalid, faults = _validate_tables(validator, slices, strings=False)
    else:
        given: Any = [rows] if source.is_single else rows
        batches, invalid, faults = _validate_mappings(validator, given)
    if faults:
        raise invalid_rows(faults, invalid, is_single=source.is_single)
    if not sum(map(len, batches)):
        raise RowsError([{"loc": [], "msg": "At least one row is needed"}])
    return ValidRows(source, batches)


_Validated = tuple[list[Batch], int, list[Fault]]  # batches, number of invalid rows, faults


def _read_file(validator: RowValidator, path: Path) -> _Validated:
    with TableReader(path, table_format(path), csv=validator.schema.csv) as reader:
        names = _declared_columns(validator, reader.names, depth=5)
        tables = (batch.select(names) for batch in reader)
        return _validate_tables(validator, tables, strings=reader.has_text_only)


def _declared_columns(validator: RowValidator, names: list[str], *, depth: int) -> list[str]:
    """Returns the names of the row's columns among those of a table, and warns of the others, which are ignored.

    `depth` is the number of calls from the line that predicts, which the warning names, to the warning. Raises
    TableError where one is absent or misspelt.
    """
    ignored = require_columns(validator.schema, names, ignore_others=True)
    if ignored:
        title = validator.schema.title
        message = f"Columns that {title} does not declare are ignored: {', '.join(ignored)}."
        warnings.warn(message, UserWarning, stacklevel=depth)
    return [name for name in names if name not in ignored]


def _validate_tables(validator: RowValidator, tables: Any, *, strings: bool) -> _Validated:
    batches: list[Batch] = []
    faults: list[Fault] = []
    invalid = start = 0
    for table in tables:
        if not table.num_rows:
            continue
        try:
            checked = validate_table(validator.schema, table, strings=strings)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise InputError(
                f"The table holds a column of a type that is not read: {error}."
            ) from error
        faults += [
            {"loc": [start + problem.row, problem.column], "msg": problem.reason}
            for problem in checked.problems
        ]
        invalid += int(checked.invalid.sum())
        start += table.num_rows
        batches.append(checked.batch)
    return batches, invalid, faults[:MAX_FAULTS]


def _validate_mappings(validator: RowValidator, rows: Sequence[object]) -> _Validated:
    batches: list[Batch] = []
    faults: list[Fault] = []
    for start in range(0, len(rows), _JSON_ROWS):
        try:
            encoded = json_rows(rows[start : start + _JSON_ROWS])
            batches.append(validator.parse_batch(b"[%b]" % b",".join(encoded))[1])
        except RowsError as error:
            faults += [
                {**fault, "loc": [start + fault["loc"][0], *fault["loc"][1:]]}
                for fault in error.faults
            ]
        if len(faults) >= MAX_FAULTS:
            break
    return batches, len({fault["loc"][0] for fault in faults}), faults[:MAX_FAULTS]


def invalid_rows(faults: Sequence[Fault], count: int, *, is_single: bool) -> RowsError:
    """Returns the error of invalid rows; `faults` are some of those of `count` rows or more."""
    if is_single:
        return RowsError([{**fault, "loc": fault["loc"][1:]} for fault in faults])
    return RowsError(faults, message=describe_faults(faults, count, "cannot be used"))


def describe_faults(faults: Sequence[Fault], count: int, verdict: str) -> str:
    """Returns a message that names the first fault by its row and column, and how many rows have one."""
    row, *column = faults[0]["loc"]
    where = ", ".join([f"Row {row} (counted from 0)", *map(str, column)])
    least = "At least " if len(faults) >= MAX_FAULTS else ""
    return f"{where}: {faults[0]['msg']}. {least}{counted(count, 'row')} {verdict}."
