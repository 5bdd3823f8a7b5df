"""Columns of a made-up table, as targets read their truth from them."""

from collections.abc import Sequence
from typing import Any


class Columns:
    """The columns of a table; places of rows are numbers."""

    location = "data()"

    def __init__(self, **columns: Sequence[Any]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def values(self, name: str) -> Sequence[Any] | None:
        return self._columns.get(name)

    def row(self, number: int, column: str, value: Any) -> str:
        return f"row {number}"
