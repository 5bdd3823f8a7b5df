"""Detects how a file writes numbers, and infers whether a column holds numbers, whole numbers, or 0 and 1."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.csv_format import SPACES, CsvFormat
from windlass.core.row_schema import MAX_INTEGER
from windlass.errors import counted
from windlass.scaffold.column_profile import Cells, ColumnProfile, ColumnType, part_odd
from windlass.scaffold.source_table import SourceColumn
from windlass.scaffold.text_forms import MISSING_NUMBERS

_SAMPLE = 20_000  # different texts of a column that are looked at
_NUMBER_SHARE = 0.9
# decimal mark and mark between groups, the plainest first
_POINT = ((".", None), (".", ","), (".", "'"), (".", " "), (".", "_"))
_COMMA = ((",", None), (",", "."), (",", "'"), (",", " "))
ZERO_OR_ONE = "all cells are 0 or 1"
_FLOATS = ("double", "float", "halffloat")


def infer_numbers(start: ColumnProfile, cells: Cells, csv: CsvFormat) -> ColumnProfile | None:
    """The profile of a column of numbers, between which a few other texts stand for a missing one; else None."""
    parted = part_odd(start, cells, cells.fit(csv.number_pattern), "numbers")
    return None if parted is None else as_numbers(*parted, csv)


def as_numbers(
    start: ColumnProfile, cells: Cells, csv: CsvFormat, stored_as: str | None = None
) -> ColumnProfile | None:
    """Numbers or integers; None for codes such as `007`, and for what is not a finite number."""
    plain = cells.texts
    if stored_as is None:
        if csv.thousands_pattern is not None:
            plain = pc.replace_substring_regex(plain, csv.thousands_pattern, "")
        plain = pc.replace_substring(plain, csv.decimal, ".")
        if pc.any(pc.match_substring_regex(plain, "^[+-]?0[0-9]+$")).as_py():
            return None
    try:
        values = np.asarray(pc.replace_substring_regex(plain, "^[+]", "").cast(pa.float64()))
    except pa.ArrowInvalid:
        return None
    if not np.isfinite(values).all():
        return None
    low, high = float(values.min()), float(values.max())
    doubts = (*start.doubts, *_sentinel_doubts(values, cells.counts))
    middle = float(values[np.argsort(values)[len(values) // 2]])
    numbers = replace(start, low=low, high=high, doubts=doubts, example=middle)
    if max(abs(low), abs(high)) > MAX_INTEGER and (values == np.trunc(values)).all():
        return numbers.without(
            "its whole numbers are beyond 2^53, which no model tells apart; they look like an id"
        )
    return _as_whole(numbers, plain, values, stored_as) or replace(
        numbers, type=ColumnType.NUMBER, reasons=("all cells are numbers",)
    )


def _as_whole(
    numbers: ColumnProfile, plain: Any, values: NDArray[np.float64], stored_as: str | None
) -> ColumnProfile | None:
    """Integers, or booleans where a file of texts holds 0 and 1 only; None for numbers with a fraction."""
    if not (values == np.trunc(values)).all():
        return None
    is_written = bool(pc.all(pc.match_substring_regex(plain, "^[+-]?[0-9]+$")).as_py())
    if is_written and stored_as is None and sorted(values.tolist()) == [0, 1]:
        return replace(
            numbers,
            type=ColumnType.BOOLEAN,
            low=None,
            high=None,
            example=True,
            reasons=(ZERO_OR_ONE,),
        )
    if is_written and stored_as not in _FLOATS:
        return _as_integers(numbers, "all cells are whole numbers")
    if numbers.is_nullable:
        return _as_integers(
            numbers, "all numbers are whole; a column with missing cells is often written with .0"
        )
    return None


def _as_integers(numbers: ColumnProfile, reason: str) -> ColumnProfile:
    doubts = numbers.doubts
    low, high = numbers.low, numbers.high
    assert isinstance(low, float)
    assert isinstance(high, float)
    if low >= 19_000_101 and high <= 21_001_231 and _are_basic_dates(numbers):
        doubts = (
            *doubts,
            "the numbers may be dates without hyphens (YYYYMMDD); write them YYYY-MM-DD",
        )
    elif 2 < numbers.distinct <= 5 and numbers.rows >= 50:
        count = counted(numbers.distinct, "whole number")
        doubts = (
            *doubts,
            f"it holds {count}; if they are codes without an order, write them as words",
        )
    return replace(
        numbers,
        type=ColumnType.INTEGER,
        example=int(numbers.example),
        reasons=(reason,),
        doubts=doubts,
    )


def _are_basic_dates(numbers: ColumnProfile) -> bool:
    return all(
        1 <= int(str(int(value))[4:6]) <= 12 and 1 <= int(str(int(value))[6:]) <= 31
        for value in (numbers.low, numbers.high, numbers.example)
        if value is not None
    )


def _sentinel_doubts(values: NDArray[np.float64], counts: NDArray[np.int64]) -> list[str]:
    """A doubt for a number such as -999 that occurs often, far from all others."""
    if len(values) < 3:
        return []
    order = np.argsort(values)
    for at, neighbour in ((order[0], order[1]), (order[-1], order[-2])):
        value = values[at]
        spread = abs(values[order[-1 if at == order[0] else 0]] - values[neighbour])
        is_sentinel = abs(value) in (99, 999, 9999, 99999, 999999) and counts[at] > 1
        if is_sentinel and abs(value - values[neighbour]) > spread:
            doubt = (
                f"{value:g} occurs {counts[at]:,} times, far from all other numbers; if it means missing, add"
                f' "{value:g}" to the missing texts of the row'
            )
            return [doubt]
    return []


def detect_number_format(columns: Iterable[SourceColumn], delimiter: str) -> tuple[str, str | None]:
    """Return the decimal mark and the mark between groups of digits by which most columns are numbers.

    A text such as `1,234` can be read in two ways: where nothing else in the file decides, the comma is a decimal mark
    if it does not separate the cells, and a mark between groups of digits if it does.
    """
    samples = [sample for sample in map(_sample, columns) if len(sample)]
    styles = [_POINT[0], _COMMA[0], *_COMMA[1:2], *_POINT[1:], *_COMMA[2:]]
    if delimiter == ",":
        styles = [*_POINT, *_COMMA]
    best = 0
    choice: tuple[str, str | None] = _POINT[0]
    for decimal, thousands in styles:
        pattern = CsvFormat(decimal=decimal, thousands=thousands, delimiter="\t").number_pattern
        count = sum(_is_numeric(sample, pattern) for sample in samples)
        if count > best:
            best, choice = count, (decimal, thousands)
    return choice


def _sample(column: SourceColumn) -> pa.Array:
    """Different texts of a column of text that are not missing, without spaces around."""
    if column.stored_as is not None:
        return pa.array([], pa.string())
    texts = pc.utf8_trim(column.texts.slice(0, _SAMPLE), SPACES)
    missing = pa.array(sorted(MISSING_NUMBERS), texts.type)
    return texts.filter(pc.invert(pc.is_in(pc.utf8_lower(texts), value_set=missing)))


def _is_numeric(sample: pa.Array, pattern: str) -> bool:
    fits = np.asarray(pc.match_substring_regex(sample, pattern))
    return bool(np.count_nonzero(fits) >= _NUMBER_SHARE * len(fits))
