"""Many rows of JSON at once, where every column is a plain number: judged a column at a time, not a value at a time."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.schema import Column, Kind, RowSchema

_TYPES: dict[Kind, frozenset[type]] = {
    Kind.NUMBER: frozenset([float, int]),
    Kind.INTEGER: frozenset([int]),
    Kind.BOOLEAN: frozenset([bool]),
}
_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


class PlainRows:
    """Reads bodies of rows that certainly fit; whatever it leaves to others is judged, and explained, there.

    What it takes is what the row's validator takes, with the same numbers: a test holds one against the other.
    """

    def __init__(self, schema: RowSchema) -> None:
        self._width = len(schema.columns)
        self._columns = [_Plain.of(column) for column in schema.columns]

    @classmethod
    def of(cls, schema: RowSchema) -> "PlainRows | None":
        """One for this schema, or None where it has columns that are not plain."""
        return cls(schema) if all(map(_is_plain, schema.columns)) else None

    def read(self, body: bytes) -> tuple[list[dict[str, Any]], Batch] | None:
        """The rows of a JSON array and the same as arrays; None where a row may not fit, or there is none."""
        try:
            rows = orjson.loads(body)
            numbers = np.empty((len(rows), self._width))
            for place, column in enumerate(self._columns):
                numbers[:, place] = column.read(rows)
        except (ValueError, KeyError, TypeError):
            return None
        more = any(map(self._width.__ne__, map(len, rows)))
        fits = not more and all(
            column.holds(numbers[:, place]) for place, column in enumerate(self._columns)
        )
        return (rows, Batch(numbers, np.empty((len(rows), 0), object))) if rows and fits else None


@dataclass(frozen=True)
class _Plain:
    """A column of numbers."""

    value: Callable[[Any], Any]
    types: frozenset[type]
    limits: tuple[tuple[Callable[[Any, Any], Any], float], ...]

    @classmethod
    def of(cls, column: Column) -> "_Plain":
        limits = [(_COMPARE[name], limit) for name, limit in column.limits().items()]
        if column.kind is Kind.INTEGER:  # from here on float64 would take one for another
            limits += [(operator.lt, 2**53), (operator.gt, -(2**53))]
        return cls(itemgetter(column.name), _TYPES[column.kind], tuple(limits))

    def read(self, rows: Any) -> list[Any]:
        """What rows hold in this column. Raises KeyError, or TypeError for a value of another type."""
        values = list(map(self.value, rows))
        if not self.types.issuperset(map(type, values)):
            raise TypeError
        return values

    def holds(self, numbers: NDArray[np.float64]) -> bool:
        """Whether numbers are finite and within the limits."""
        within = all(compare(numbers, limit).all() for compare, limit in self.limits)
        return within and bool(np.isfinite(numbers).all())


def _is_plain(column: Column) -> bool:
    known = column.kind in _TYPES and column.multiple_of is None
    return known and column.required and not column.nullable
