"""One column being judged: its values, which cells are still in question, and what was refused."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import SchemaValidator, core_schema

from windlass.core.row_schema import EPOCH, ColumnKind, ColumnSchema

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

_TYPE_ERRORS = {
    ColumnKind.NUMBER: "Input should be a valid number",
    ColumnKind.INTEGER: "Input should be a valid integer",
    ColumnKind.BOOLEAN: "Input should be a valid boolean",
    ColumnKind.DATE: "Input should be a valid date",
    ColumnKind.CATEGORY: "Input should be a valid string",
}
_BOUND_CHECKS = {  # in the order in which pydantic looks
    "le": (np.greater, "less than or equal to"),
    "lt": (np.greater_equal, "less than"),
    "ge": (np.less, "greater than or equal to"),
    "gt": (np.less_equal, "greater than"),
}


@dataclass
class ColumnCheck:
    """The n cells of one column. `live` marks those neither missing nor refused; None means all.

    `values` is any numeric [n]; what stands in a cell that is not live means nothing.
    `found` holds, for every reason, the rows that were refused for it, ascending.
    """

    values: NDArray[Any]
    live: Mask | None = None
    found: list[tuple[str, Rows]] = field(default_factory=list)

    def refuse(self, mask: Mask, reason: str) -> None:
        """Refuse the live cells in `mask`: a cell is refused once, for the first reason."""
        if self.live is not None:
            mask = mask & self.live
        rows = np.flatnonzero(mask)
        if len(rows):
            self.found.append((reason, rows))
            self.drop(mask)

    def drop(self, mask: Mask) -> None:
        """Take the cells in `mask` as missing."""
        self.live = ~mask if self.live is None else self.live & ~mask

    def write(self, target: NDArray[np.float64]) -> None:
        """Put the values into float64 [n], NaN where a cell is not live."""
        target[:] = self.values
        if self.live is not None:
            target[~self.live] = np.nan


def type_error_message(column: ColumnSchema) -> str:
    """What pydantic says of a value of another type."""
    if column.categories is None:
        return _TYPE_ERRORS[column.kind]
    *most, last = [f"'{category}'" for category in column.categories]
    return f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}"


def reject_non_finite(cells: ColumnCheck, column: ColumnSchema) -> None:
    """Infinity is refused. NaN is missing where the column may be null, as dataframes write it, else refused."""
    finite = np.isfinite(cells.values)
    if finite.all():
        return
    if column.nullable:
        cells.drop(np.isnan(cells.values))
    cells.refuse(~finite, "Input should be a finite number")


def reject_fractions(cells: ColumnCheck) -> None:
    """Refuse floats that are no integers. Call after `refuse_non_finite`."""
    fraction = cells.values != np.trunc(cells.values)
    cells.refuse(fraction, "Input should be a valid integer, got a number with a fractional part")


def reject_out_of_bounds(cells: ColumnCheck, column: ColumnSchema) -> None:
    """Hold the live cells against the column's `multiple_of` and bounds, as its pydantic validator does."""
    if column.kind is ColumnKind.BOOLEAN:
        return
    if column.multiple_of is not None:
        mask, shown = _not_multiple(cells.values, column, column.multiple_of)
        cells.refuse(mask, f"Input should be a multiple of {shown}")
    limits = _comparable_bounds(column)
    for keyword, (violates, words) in _BOUND_CHECKS.items():
        if keyword in limits:
            limit, shown = limits[keyword]
            cells.refuse(violates(cells.values, limit), f"Input should be {words} {shown}")


def _comparable_bounds(column: ColumnSchema) -> dict[str, tuple[float | int, str]]:
    """The bounds, as numbers to compare with and as text to show."""
    if column.kind is ColumnKind.DATE:
        return {
            keyword: ((limit - EPOCH).days, limit.isoformat())
            for keyword, limit in column.bounds()
            if isinstance(limit, date)
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
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, which are refused already
        distance = np.abs(values - np.rint(values / divisor) * divisor)
        mask = ~(distance < 1e-9)  # pydantic-core's tolerance
        doubtful = (np.abs(values) > 1e8) | (np.abs(distance - 1e-9) < 1e-10)
    rows = np.flatnonzero(doubtful)
    if len(rows):  # where it rounds otherwise, it judges
        judge = SchemaValidator(core_schema.float_schema(multiple_of=divisor)).isinstance_python
        mask[rows] = [not judge(value) for value in values[rows].tolist()]
    return mask, _format_limit(divisor)
