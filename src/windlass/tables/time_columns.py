"""Columns of days and timestamps in Arrow, in any unit: dates and times of rows."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from windlass.core.row_schema import EPOCH, ColumnSchema
from windlass.core.timestamps import (
    MAX_MICROSECONDS,
    MIN_MICROSECONDS,
    NO_OFFSET,
    OUTSIDE_CALENDAR,
    SECOND,
    TOO_PRECISE,
)
from windlass.tables.arrow_numpy import to_numpy
from windlass.tables.column_checks import ColumnCheck, Mask

_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_FIRST_DAY, _LAST_DAY = (date.min - EPOCH).days, (date.max - EPOCH).days
_UTC = frozenset({None, "UTC", "Etc/UTC", "+00:00", "Z"})
_FIRST_SECOND, _LAST_SECOND = MIN_MICROSECONDS // SECOND, MAX_MICROSECONDS // SECOND


def is_calendar(kind: Any) -> bool:
    """Whether an Arrow type is of days or timestamps."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def read_days(array: Any, present: Mask | None) -> ColumnCheck:
    """Read days, or timestamps of midnight in UTC or without a zone, as days since 1970."""
    if pa.types.is_date32(array.type):
        return _reject_outside_calendar(ColumnCheck(to_numpy(array), present))
    zoned = pa.types.is_timestamp(array.type) and array.type.tz not in _UTC
    unit = array.type.unit if pa.types.is_timestamp(array.type) else "ms"
    days, rest = np.divmod(to_numpy(array), _DAY[unit])
    cells = ColumnCheck(days, present)
    if zoned:
        reason = "Input should be a valid date, not a moment in a zone other than UTC"
        cells.reject(np.ones(len(array), np.bool_), reason)
    cells.reject(
        rest != 0, "Datetimes provided to dates should have zero time - e.g. be exact dates"
    )
    return _reject_outside_calendar(cells)


def _reject_outside_calendar(cells: ColumnCheck) -> ColumnCheck:
    beyond = (cells.values < _FIRST_DAY) | (cells.values > _LAST_DAY)
    cells.reject(beyond, "Input should be a valid date, of the years 1 to 9999")
    return cells


def read_times(column: ColumnSchema, array: Any, present: Mask | None) -> ColumnCheck:
    """Read timestamps of any unit, or days, as microseconds since 1970; without a zone, only where UTC is declared."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.date32()).cast(pa.timestamp("s"))
    if array.type.tz is None and not column.utc:
        cells = ColumnCheck(np.zeros(len(array), np.int64), present)
        cells.reject(np.ones(len(array), np.bool_), NO_OFFSET)
        return cells
    units = _DAY[array.type.unit] // _DAY["s"]  # in a second
    whole, rest = np.divmod(to_numpy(array), units)
    outside = (whole < _FIRST_SECOND) | (whole > _LAST_SECOND)
    cells = ColumnCheck(np.where(outside, 0, whole) * SECOND + rest * SECOND // units, present)
    cells.reject(outside, OUTSIDE_CALENDAR)
    if units > SECOND:
        cells.reject(rest % (units // SECOND) != 0, TOO_PRECISE)
    return cells
