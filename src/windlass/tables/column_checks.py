"""Checks of one column: values, which cells are present, and which were rejected for which reason."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import SchemaValidator, core_schema

from windlass.core.row_schema import EPOCH, ColumnKind, ColumnSchema
from windlass.core.timestamps import format_time, to_microseconds

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

_BOUND_CHECKS = {  # in the order in which pydantic looks
    "le": (np.greater, "less than or equal to"),
    "lt": (np.greater_equal, "less than"),
    "ge": (np.less, "greater than or equal to"),
    "gt": (np.less_equal, "greater than"),
}


@dataclass
class ColumnCheck:
    """The n cells of one column while they are validated.

    `values` is any numeric [n]. `present` [n] marks the cells that are neither missing nor rejected; None
    means all; `values` of other cells mean nothing. `rejections` holds a reason and the rows that were
    rejected for it, ascending.
    """

    values: NDArray[Any]
    present: Mask | None = None
    rejections: list[tuple[str, Rows]] = field(default_factory=list)

    def reject(self, mask: Mask, reason: str) -> None:
        """Reject the present cells in `mask` [n]; a cell is rejected once, for the first reason."""
        if self.present is not None:
            mask = mask & self.present
        rows = np.flatnonzero(mask)
        if len(rows):
            self.rejections.append((reason, rows))
            self.mark_missing(mask)

    def mark_missing(self, mask: Mask) -> None:
        """Mark the cells in `mask` [n] as missing."""
        self.present = ~mask if self.present is None else self.present & ~mask

    def write(self, target: NDArray[np.float64]) -> None:
        """Write the values into float64 [n]: 0.0 for -0.0, NaN where a cell is not present."""
        target[:] = self.values
        target += 0.0
        if self.present is not None:
            target[~self.present] = np.nan


def reject_non_finite(cells: ColumnCheck, column: ColumnSchema) -> None:
    """Reject infinity, and NaN unless the column may be null: data frames write missing values as NaN."""
    finite = np.isfinite(cells.values)
    if finite.all():
        return
    if column.nullable:
        cells.mark_missing(np.isnan(cells.values))
    cells.reject(~finite, "Input should be a finite number")


def reject_fractions(cells: ColumnCheck) -> None:
    """Reject floats that are no integers; call it after `reject_non_finite`."""
    fraction = cells.values != np.trunc(cells.values)
    cells.reject(fraction, "Input should be a valid integer, got a number with a fractional part")


def reject_out_of_bounds(cells: ColumnCheck, column: ColumnSchema) -> None:
    """Reject the present cells that violate the column's `multiple_of` or bounds, as pydantic does."""
    if column.kind is ColumnKind.BOOLEAN:
        return
    if column.multiple_of is not None:
        mask, text = _not_multiple(cells.values, column, column.multiple_of)
        cells.reject(mask, f"Input should be a multiple of {text}")
    limits = _comparable_bounds(column)
    for keyword, (violates, words) in _BOUND_CHECKS.items():
        if keyword in limits:
            limit, text = limits[keyword]
            cells.reject(violates(cells.values, limit), f"Input should be {words} {text}")


def _comparable_bounds(column: ColumnSchema) -> dict[str, tuple[float | int, str]]:
    """Return the bounds by keyword, as a number to compare with (days, or microseconds) and as text for a message."""
    if column.kind is ColumnKind.DATE:
        return {
            keyword: ((limit - EPOCH).days, limit.isoformat())
            for keyword, limit in column.bounds()
            if isinstance(limit, date)
        }
    if column.kind is ColumnKind.DATETIME:
        return {
            keyword: (to_microseconds(limit), format_time(limit))
            for keyword, limit in column.bounds()
        }
    return {
        keyword: (limit, _format_limit(limit))
        for keyword, limit in column.effective_bounds().items()
    }


def _format_limit(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else np.format_float_positional(limit, trim="-")


def _not_multiple(values: NDArray[Any], column: ColumnSchema, divisor: float) -> tuple[Mask, str]:
    if column.kind is ColumnKind.INTEGER:
        widest = np.dtype(f"{values.dtype.kind}8")  # the divisor may not fit into int8
        return np.fmod(values.astype(widest, copy=False), int(divisor)) != 0, str(int(divisor))
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, which are rejected already
        distance = np.abs(values - np.rint(values / divisor) * divisor)
        mask = ~(distance < 1e-9)  # pydantic-core's tolerance
        doubtful = (np.abs(values) > 1e8) | (np.abs(distance - 1e-9) < 1e-10)
    rows = np.flatnonzero(doubtful)
    if len(rows):  # rounding may differ: pydantic decides
        is_multiple = SchemaValidator(
            core_schema.float_schema(multiple_of=divisor)
        ).isinstance_python
        mask[rows] = [not is_multiple(value) for value in values[rows].tolist()]
    return mask, _format_limit(divisor)
