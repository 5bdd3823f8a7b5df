"""Reads JSON arrays of rows in which every column is a required number, at the speed of numpy."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema

_TYPES: dict[ColumnKind, frozenset[type]] = {
    ColumnKind.NUMBER: frozenset([float, int]),
    ColumnKind.INTEGER: frozenset([int, float]),
    ColumnKind.BOOLEAN: frozenset([bool]),
}
_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


class NumericRowReader:
    """Fast path for JSON arrays of rows in which every column is a required number.

    It accepts a subset of what RowValidator accepts, with the same result (a test compares the two). For
    anything else it returns None, and RowValidator decides.
    """

    def __init__(self, schema: RowSchema) -> None:
        self._width = len(schema.columns)
        self._columns = [_NumericColumn.from_column(column) for column in schema.columns]

    @classmethod
    def from_schema(cls, schema: RowSchema) -> "NumericRowReader | None":
        """Makes a reader for this schema; None if a column is not a required number."""
        return cls(schema) if all(map(_is_required_number, schema.columns)) else None

    def read(self, rows: Any) -> tuple[list[dict[str, Any]], Batch] | None:
        """Returns the rows of a parsed JSON array, also as a batch; None if one may be invalid, or there is none."""
        try:
            numbers = np.empty((len(rows), self._width))
            for index, column in enumerate(self._columns):
                numbers[:, index] = column.read(rows)
        except (ValueError, KeyError, TypeError, OverflowError):
            return None
        has_extra = any(map(self._width.__ne__, map(len, rows)))
        fits = not has_extra and all(
            column.fits(numbers[:, index]) for index, column in enumerate(self._columns)
        )
        if not rows or not fits:
            return None
        for column in self._columns:
            column.convert(rows)
        return rows, Batch(numbers + 0.0, np.empty((len(rows), 0), object))


@dataclass(frozen=True)
class _NumericColumn:
    """Checks of a required column of numbers."""

    name: str
    is_integer: bool
    types: frozenset[type]
    limits: tuple[tuple[Callable[[Any, Any], Any], float], ...]

    @classmethod
    def from_column(cls, column: ColumnSchema) -> "_NumericColumn":
        limits = [(_COMPARE[name], limit) for name, limit in column.effective_bounds().items()]
        if column.kind is ColumnKind.INTEGER:  # beyond, float64 does not distinguish them
            limits += [(operator.lt, 2**53), (operator.gt, -(2**53))]
        is_integer = column.kind is ColumnKind.INTEGER
        return cls(column.name, is_integer, _TYPES[column.kind], tuple(limits))

    def read(self, rows: Any) -> list[Any]:
        """Returns the values of this column. Raises KeyError, or TypeError for a value of another type."""
        values = list(map(itemgetter(self.name), rows))
        if not self.types.issuperset(map(type, values)):
            raise TypeError
        return values

    def fits(self, numbers: NDArray[np.float64]) -> bool:
        """Whether numbers are finite and within the limits, and whole where the column is of integers."""
        within = all(compare(numbers, limit).all() for compare, limit in self.limits)
        if not within or not np.isfinite(numbers).all():
            return False
        return not self.is_integer or bool((numbers == np.trunc(numbers)).all())

    def convert(self, rows: list[dict[str, Any]]) -> None:
        """Makes integers of the floats without a fraction in a column of integers, as 30.0."""
        if self.is_integer and float in map(type, map(itemgetter(self.name), rows)):
            for row in rows:
                row[self.name] = int(row[self.name])


def _is_required_number(column: ColumnSchema) -> bool:
    is_checkable = column.kind in _TYPES and column.multiple_of is None
    return is_checkable and column.required and not column.nullable
