"""Where training rows come from, for who has to correct one: a line of a CSV file, or a row of what data() returned."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})  # as libraries read cells of CSV


@dataclass(frozen=True)
class Origin:
    """The `count` rows that data() returned, of `file` where one was named at training."""

    file: Path | None
    count: int

    @property
    def place(self) -> str:
        """Where rows are corrected or dropped."""
        return "data()" if self.file is None else f"{self.file}, or in data()"

    def row(self, number: int, column: str, value: Any) -> str:
        """Names a row by the line where it begins in the file, where that can be told; else by its number from 0.

        `value` is what the row holds in this column: data() may have sorted the file's rows, or made others.
        """
        if self.file is not None and self.file.suffix.lower() == ".csv":
            found = _line(self.file, number, self.count, column)
            if found is not None and _same(found[1], value):
                return f"line {found[0]} of {self.file.name}"
        return f"row {number} (counted from 0)"


def _line(file: Path, number: int, count: int, column: str) -> tuple[int, str] | None:
    """The line where the row begins, and its cell; None where the file has not `count` rows and this column."""
    found, seen = None, 0
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            rows = _rows(text)
            _, header = next(rows)
            at = header.index(column)
            for line, row in rows:
                if seen == number:
                    found = line, row[at]
                seen += 1
    except (OSError, csv.Error, StopIteration, ValueError, IndexError):
        return None
    return found if seen == count else None


def _rows(text: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its first line, from 1."""
    reader = csv.reader(text)
    begins = 1
    for row in reader:
        if row:
            yield begins, row
        begins = reader.line_num + 1


def _same(text: str, value: Any) -> bool:
    text = text.strip()
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return text.lower() in _MISSING
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return text.lower() == str(value).strip().lower()
