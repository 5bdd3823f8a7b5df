"""Validates whole tables at once: Arrow columns in, arrays in declared order and the rows refused out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.row_schema import EPOCH, MISSING_TEXT, ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import default_value
from windlass.errors import InputError
from windlass.tables.arrow_numpy import to_numpy, validity_mask
from windlass.tables.column_checks import (
    ColumnCheck,
    Mask,
    Rows,
    reject_fractions,
    reject_non_finite,
    reject_out_of_bounds,
    type_error_message,
)
from windlass.tables.text_cells import null_missing
from windlass.tables.text_columns import (
    is_text,
    read_categories,
    read_texts,
)

_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_FIRST_DAY, _LAST_DAY = (date.min - EPOCH).days, (date.max - EPOCH).days
_UTC = frozenset({None, "UTC", "Etc/UTC", "+00:00", "Z"})
_MAX_LISTED = 5  # columns that one error names


@dataclass(frozen=True)
class RowProblem:
    """Why one cell was refused, without its value. `row` counts from 0 in the table."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class ValidatedTable:
    """A table's rows. Where `bad` [n] is true the batch holds NaN and "", and `problems` says why.

    `problems` stand in the order of rows and declared columns, cut at the limit that was asked for,
    though the first of each kind in each column is kept as long as there is room.
    """

    batch: Batch
    bad: NDArray[np.bool_]
    problems: list[RowProblem]


@dataclass(frozen=True)
class _Rejection:
    column: str
    reason: str
    rows: Rows


def validate_table(
    schema: RowSchema, table: Any, *, strings: bool = False, limit: int = 100
) -> ValidatedTable:
    """Judge each row of a `pa.Table` or `pa.RecordBatch` as `RowValidator` would, at array speed.

    Null is JSON's null. NaN is missing where a column may be null, as dataframe libraries write it so,
    and refused elsewhere. A float column of integral values passes for integers, a timestamp at
    midnight (UTC, or without a zone) for a date. With `strings` every column is text, as CSV has it:
    an empty cell is null, the rest is read as `RowValidator.row_strings` does.
    Raises InputError where a column is absent, unknown, or there twice: no row can be judged.
    """
    require_columns(schema, table.schema.names)
    numeric = np.empty((table.num_rows, len(schema.numeric)))
    text = np.empty((table.num_rows, len(schema.text)), object)
    numbers, texts = iter(numeric.T), iter(text.T)
    found: list[_Rejection] = []
    for column in schema.columns:
        target = next(texts if column.is_text else numbers)
        if column.name not in table.schema.names:
            default = default_value(column)
            target[:] = (default or MISSING_TEXT) if column.is_text else column.to_float(default)
            continue
        cells = _read_column(
            column, _decode(column, table.column(column.name)), target, strings=strings
        )
        found += [_Rejection(column.name, reason, rows) for reason, rows in cells.found]
    bad = np.zeros(table.num_rows, np.bool_)
    for item in found:
        bad[item.rows] = True
    if found:
        numeric[bad] = np.nan
        text[bad] = MISSING_TEXT
    return ValidatedTable(Batch(numeric, text), bad, _collect_problems(found, limit))


def require_columns(schema: RowSchema, names: Iterable[str]) -> None:
    """Raise InputError where columns of these names are not those of the row, each once."""
    counts = Counter(names)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InputError(
            f"The table has {_list_columns(twice)} more than once. Name each column once."
        )
    missing = [
        column.name for column in schema.columns if column.required and column.name not in counts
    ]
    extra = [name for name in counts if name not in schema.names]
    faults = [
        f"{what} {_list_columns(names)}"
        for what, names in (("lacks", missing), ("has", extra))
        if names
    ]
    if faults:
        raise InputError(
            f"The table {' and '.join(faults)}; the columns of {schema.title} are"
            f" {', '.join(schema.names)}. {_remedy(missing, extra)}"
        )


def _remedy(missing: list[str], extra: list[str]) -> str:
    if missing and extra:
        return "Rename or correct the columns."
    return "Add what is missing." if missing else "Leave the others out."


def _list_columns(names: list[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:_MAX_LISTED])
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"the column{'s' * (len(names) > 1)} {shown}{more}"


def _decode(column: ColumnSchema, array: Any) -> Any:
    """One array, without the encodings that carry no meaning."""
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
    column: ColumnSchema, array: Any, target: NDArray[Any], *, strings: bool
) -> ColumnCheck:
    """Judge one column and write its values into `target`."""
    if strings and is_text(array.type):
        array = null_missing(array)
    live = validity_mask(array)
    if column.is_text:
        cells = _read_categories(column, array, live, target)
    else:
        cells = _read_numeric(column, array, live, strings=strings)
        reject_out_of_bounds(cells, column)
        cells.write(target)
    if live is not None and not column.nullable and not live.all():
        cells.found.append((f"{type_error_message(column)}, not null", np.flatnonzero(~live)))
    return cells


def _read_categories(
    column: ColumnSchema, array: Any, live: Mask | None, target: NDArray[np.object_]
) -> ColumnCheck:
    cells = ColumnCheck(np.empty(0), live)
    if is_text(array.type) or pa.types.is_dictionary(array.type):
        target[:] = read_categories(cells, column, array)
    else:
        cells.refuse(np.ones(len(array), np.bool_), type_error_message(column))
        target[:] = MISSING_TEXT
    return cells


def _read_numeric(
    column: ColumnSchema, array: Any, live: Mask | None, *, strings: bool
) -> ColumnCheck:
    """The values of a column that reaches the model as numbers, refused where the type is another."""
    kind = array.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if is_text(kind) and (strings or column.kind is ColumnKind.DATE):
        return read_texts(column, array, live, lax=strings)
    if column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and number:
        return _read_numbers(column, array, live)
    if column.kind is ColumnKind.BOOLEAN and pa.types.is_boolean(kind):
        return ColumnCheck(to_numpy(array.cast(pa.uint8())), live)
    if column.kind is ColumnKind.DATE and pa.types.is_date32(kind):
        return _reject_outside_calendar(ColumnCheck(to_numpy(array), live))
    if column.kind is ColumnKind.DATE and (pa.types.is_date64(kind) or pa.types.is_timestamp(kind)):
        return _read_days(array, live)
    cells = ColumnCheck(np.zeros(len(array)), live)
    cells.refuse(np.ones(len(array), np.bool_), type_error_message(column))
    return cells


def _read_numbers(column: ColumnSchema, array: Any, live: Mask | None) -> ColumnCheck:
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    cells = ColumnCheck(to_numpy(array), live)
    if column.kind is ColumnKind.NUMBER:
        cells.values = cells.values.astype(np.float64, copy=False)
    if pa.types.is_floating(array.type):
        reject_non_finite(cells, column)
        if column.kind is ColumnKind.INTEGER:
            reject_fractions(cells)
    return cells


def _read_days(array: Any, live: Mask | None) -> ColumnCheck:
    """Days since 1970 out of moments, which have to be midnights."""
    zoned = pa.types.is_timestamp(array.type) and array.type.tz not in _UTC
    unit = array.type.unit if pa.types.is_timestamp(array.type) else "ms"
    days, rest = np.divmod(to_numpy(array), _DAY[unit])
    cells = ColumnCheck(days, live)
    if zoned:
        reason = f"Input should be a valid date, not a moment in the zone {array.type.tz[:64]}"
        cells.refuse(np.ones(len(array), np.bool_), reason)
    cells.refuse(
        rest != 0, "Datetimes provided to dates should have zero time - e.g. be exact dates"
    )
    return _reject_outside_calendar(cells)


def _reject_outside_calendar(cells: ColumnCheck) -> ColumnCheck:
    beyond = (cells.values < _FIRST_DAY) | (cells.values > _LAST_DAY)
    cells.refuse(beyond, "Input should be a valid date, of the years 1 to 9999")
    return cells


def _collect_problems(found: list[_Rejection], limit: int) -> list[RowProblem]:
    """The cells refused, as `Checked` promises them."""
    if not found:
        return []
    rows = np.concatenate([item.rows for item in found])
    sizes = [len(item.rows) for item in found]
    kinds = np.repeat(np.arange(len(found)), sizes)  # in the order of declared columns
    chosen = np.lexsort((kinds, rows))
    if len(chosen) > limit:
        firsts = (np.cumsum(sizes) - sizes)[:limit]
        chosen = np.union1d(firsts, chosen[: limit - len(firsts)])
        chosen = chosen[np.lexsort((kinds[chosen], rows[chosen]))]
    return [
        RowProblem(row, found[kind].column, found[kind].reason)
        for row, kind in zip(rows[chosen].tolist(), kinds[chosen].tolist(), strict=True)
    ]
