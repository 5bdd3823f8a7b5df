"""Validates Arrow tables against the declared row, at array speed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.csv_format import CsvFormat
from windlass.core.pydantic_schemas import default_value
from windlass.core.row_schema import (
    MISSING_TEXT,
    ColumnKind,
    ColumnSchema,
    RowSchema,
    type_error_message,
)
from windlass.core.timestamps import seconds_from_microseconds
from windlass.errors import TableError, counted
from windlass.tables.arrow_numpy import to_numpy, validity_mask
from windlass.tables.column_checks import (
    ColumnCheck,
    Mask,
    Rows,
    reject_fractions,
    reject_non_finite,
    reject_out_of_bounds,
)
from windlass.tables.text_cells import null_markers, null_missing
from windlass.tables.text_columns import is_text, read_categories, read_texts, strip_texts
from windlass.tables.time_columns import is_calendar, read_days, read_times
from windlass.tables.vector_columns import read_vectors

_MAX_LISTED = 5  # columns that one error names
_DELIMITERS = (",", ";", "\t", "|", ":")
_MAX_COMPARED = 100  # other columns that are compared with those that are absent


@dataclass(frozen=True)
class RowProblem:
    """The reason why one cell was rejected, without its value. `row` counts from 0 in the table."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class ValidatedTable:
    """Rows of a table as a batch, and the problems of those that are invalid.

    Where `invalid` [n] is true the batch holds NaN and "".
    `problems` give the reasons, in the order of rows and declared columns, up to the limit that was
    requested; the first problem of each kind in each column is kept as long as there is room.
    """

    batch: Batch
    invalid: NDArray[np.bool_]
    problems: list[RowProblem]


@dataclass(frozen=True)
class _Rejection:
    column: str
    reason: str
    rows: Rows


def validate_table(
    schema: RowSchema, table: Any, *, strings: bool = False, limit: int = 100
) -> ValidatedTable:
    """Validate each row of a `pa.Table` or `pa.RecordBatch` as `RowValidator` does, at array speed.

    Null is JSON's null. NaN is missing where a column may be null, because data frames write it so,
    and rejected elsewhere. A float column of integral values passes for integers, a timestamp at
    midnight (UTC, or without a zone) for a date, and one of any unit and zone for a time. With
    `strings` every column is text, as CSV has it, and is read as `RowValidator.parse_text_row` does.
    A text that the row declares as missing is null.
    Raises TableError where a column is absent, unknown or duplicated: no row can be validated.
    """
    require_columns(schema, table.schema.names)
    numeric = np.empty((table.num_rows, len(schema.numeric)))
    text = np.empty((table.num_rows, len(schema.text)), object)
    texts, end = iter(text.T), 0
    rejections: list[_Rejection] = []
    for column in schema.columns:
        if column.is_text:
            target = next(texts)
        else:
            start, end = end, end + column.width
            target = numeric[:, start:end] if column.length else numeric[:, start]
        if column.name not in table.schema.names:
            target[:] = _default(column)
            continue
        cells = _read_column(
            schema, column, _decode(column, table.column(column.name)), target, strings=strings
        )
        rejections += [_Rejection(column.name, reason, rows) for reason, rows in cells.rejections]
    invalid = np.zeros(table.num_rows, np.bool_)
    for item in rejections:
        invalid[item.rows] = True
    if rejections:
        numeric[invalid] = np.nan
        text[invalid] = MISSING_TEXT
    return ValidatedTable(Batch(numeric, text), invalid, _collect_problems(rejections, limit))


def _default(column: ColumnSchema) -> Any:
    """Return what the model sees of an omitted column."""
    default = default_value(column)
    if column.is_text:
        return default or MISSING_TEXT
    if column.kind is ColumnKind.VECTOR:
        return np.nan if default is None else default
    return column.to_float(default)


def require_columns(
    schema: RowSchema, names: Iterable[str], *, ignore_others: bool = False
) -> tuple[str, ...]:
    """Check that the columns of the row are there, each once; returns the names of other columns.

    Other columns are rejected too, unless `ignore_others`; one whose name is near that of an absent column always is.
    Raises TableError.
    """
    counts = Counter(names)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        advice = "more than once. Name each column once."
        raise TableError(
            f"The table has {_list_columns(twice)} {advice}", f"The table has a column {advice}"
        )
    absent = [column.name for column in schema.columns if column.name not in counts]
    missing = [name for name in absent if schema[name].required]
    undeclared = tuple(name for name in counts if name not in schema.names)
    meant = {
        name: near
        for name in undeclared[:_MAX_COMPARED]
        if (near := schema.meant_name(name, absent)) is not None
    }
    extra = list(meant) if ignore_others else list(undeclared)
    if missing and (delimiter := _other_delimiter(schema, undeclared)) is not None:
        reason = (
            f"line 1 separates its cells by {delimiter!r}, and {schema.title} declares {schema.csv.delimiter!r}."
            f" Declare csv=CsvFormat(delimiter={delimiter!r}), or write the file with {schema.csv.delimiter!r}."
        )
        raise TableError(f"The table lacks {_list_columns(missing)}: {reason}", reason)
    if missing or extra:
        raise _wrong_columns(schema, missing, extra, meant)
    return undeclared


def _other_delimiter(schema: RowSchema, undeclared: Sequence[str]) -> str | None:
    """Return the delimiter by which the names of other columns hold declared ones; None where they hold none."""
    for delimiter in _DELIMITERS:
        parts = {
            part.strip(' "')
            for name in undeclared[:_MAX_COMPARED]
            for part in name.split(delimiter)
        }
        if (
            delimiter != schema.csv.delimiter
            and len(parts) > len(undeclared)
            and parts & set(schema.names)
        ):
            return delimiter
    return None


def _wrong_columns(
    schema: RowSchema, missing: list[str], extra: list[str], meant: dict[str, str]
) -> TableError:
    declared = f"; the columns of {schema.title} are {', '.join(schema.names)}."
    lacks = [f"lacks {_list_columns(missing)}"] if missing else []
    named = [f"has {_list_columns(extra)}"] if extra else []
    unnamed = [f"has {counted(len(extra), 'undeclared column')}"] if extra else []
    pairs = [*meant.items()][:_MAX_LISTED]
    did = "".join(f" Did you mean {near!r} by {name[:64]!r}?" for name, near in pairs)
    did_unnamed = f" Did you mean {', '.join(repr(near) for _, near in pairs)}?" if pairs else ""
    advice = _remedy(missing, extra)
    return TableError(
        f"The table {' and '.join(lacks + named)}{declared}{did} {advice}",
        f"The table {' and '.join(lacks + unnamed)}{declared}{did_unnamed} {advice}",
    )


def _remedy(missing: list[str], extra: list[str]) -> str:
    if missing and extra:
        return "Rename or correct the columns."
    return "Add what is missing." if missing else "Leave the others out."


def _list_columns(names: list[str]) -> str:
    listed = ", ".join(repr(name[:64]) for name in names[:_MAX_LISTED])
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"the column{'s' * (len(names) > 1)} {listed}{more}"


def _decode(column: ColumnSchema, array: Any) -> Any:
    """Return one array, without run-end or dictionary encodings that the checks do not need."""
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type) and not (
        column.is_text and is_text(array.type.value_type)
    ):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return array


def _read_column(
    schema: RowSchema, column: ColumnSchema, array: Any, target: NDArray[Any], *, strings: bool
) -> ColumnCheck:
    """Validate one column and write its values into `target` [n]."""
    missing = schema.missing_texts(column)
    if column.strip:
        array = strip_texts(array)
    if strings and is_text(array.type):
        array = null_missing(array, missing, strip=not column.is_text)
    elif is_text(array.type) or pa.types.is_dictionary(array.type):
        array = null_markers(array, missing)
    present = validity_mask(array)
    if column.is_text:
        cells = _read_categories(column, array, present, target)
    elif column.kind is ColumnKind.VECTOR:
        cells = read_vectors(column, array, present, target, strings=strings)
    else:
        cells = _read_numeric(column, array, present, schema.csv if strings else None)
        reject_out_of_bounds(cells, column)
        if column.kind is ColumnKind.DATETIME:
            cells.values = seconds_from_microseconds(cells.values.astype(np.int64, copy=False))
        cells.write(target)
    if present is not None and not column.nullable and not present.all():
        cells.rejections.append(
            (f"{type_error_message(column)}, not null", np.flatnonzero(~present))
        )
    return cells


def _read_categories(
    column: ColumnSchema, array: Any, present: Mask | None, target: NDArray[np.object_]
) -> ColumnCheck:
    cells = ColumnCheck(np.empty(0), present)
    if is_text(array.type) or pa.types.is_dictionary(array.type):
        target[:] = read_categories(cells, column, array)
    else:
        cells.reject(np.ones(len(array), np.bool_), type_error_message(column))
        target[:] = MISSING_TEXT
    return cells


def _read_numeric(
    column: ColumnSchema, array: Any, present: Mask | None, csv: CsvFormat | None
) -> ColumnCheck:
    """Read a column that reaches the model as numbers; reject every cell where the type is another.

    `csv` is the format of text, where the table is CSV.
    """
    kind = array.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if is_text(kind) and (csv is not None or column.kind in (ColumnKind.DATE, ColumnKind.DATETIME)):
        return read_texts(column, array, present, csv)
    if column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and number:
        return _read_numbers(column, array, present)
    if column.kind is ColumnKind.BOOLEAN and pa.types.is_boolean(kind):
        return ColumnCheck(to_numpy(array.cast(pa.uint8())), present)
    if column.kind in (ColumnKind.DATE, ColumnKind.DATETIME) and is_calendar(kind):
        is_day = column.kind is ColumnKind.DATE
        return read_days(array, present) if is_day else read_times(column, array, present)
    cells = ColumnCheck(np.zeros(len(array)), present)
    cells.reject(np.ones(len(array), np.bool_), type_error_message(column))
    return cells


def _read_numbers(column: ColumnSchema, array: Any, present: Mask | None) -> ColumnCheck:
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    cells = ColumnCheck(to_numpy(array), present)
    if column.kind is ColumnKind.NUMBER or pa.types.is_floating(array.type):
        cells.values = cells.values.astype(np.float64, copy=False)  # bounds are not rounded
    if pa.types.is_floating(array.type):
        reject_non_finite(cells, column)
        if column.kind is ColumnKind.INTEGER:
            reject_fractions(cells)
    return cells


def _collect_problems(rejections: list[_Rejection], limit: int) -> list[RowProblem]:
    """Return the problems in the order and number that `ValidatedTable` promises."""
    if not rejections:
        return []
    rows = np.concatenate([item.rows for item in rejections])
    sizes = [len(item.rows) for item in rejections]
    kinds = np.repeat(np.arange(len(rejections)), sizes)  # in the order of declared columns
    chosen = np.lexsort((kinds, rows))
    if len(chosen) > limit:
        firsts = (np.cumsum(sizes) - sizes)[:limit]
        chosen = np.union1d(firsts, chosen[: limit - len(firsts)])
        chosen = chosen[np.lexsort((kinds[chosen], rows[chosen]))]
    return [
        RowProblem(row, rejections[kind].column, rejections[kind].reason)
        for row, kind in zip(rows[chosen].tolist(), kinds[chosen].tolist(), strict=True)
    ]
