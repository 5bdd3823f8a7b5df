"""Infers what a column holds from its distinct texts: its type, its missing values, its range or categories."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.csv_format import SPACES, CsvFormat
from windlass.errors import counted
from windlass.scaffold.column_profile import Cells, ColumnProfile, ColumnType, part_odd
from windlass.scaffold.number_inference import as_numbers, infer_numbers
from windlass.scaffold.source_table import SourceColumn
from windlass.scaffold.text_forms import (
    BOOLEANS,
    ISO_MIDNIGHT,
    ISO_TIMESTAMP,
    MISSING,
    OFFSET,
    describe_other_date,
    find_unit,
    is_calendar_date,
)

MAX_CATEGORIES = 30  # values of a closed set
_FREE_TEXT_LENGTH = 40  # characters on average
_NO_TEXT = ("list", "large_list", "fixed_size", "struct", "map", "binary", "large_binary")
_MAX_WORDS = 6  # spellings of true and false in one column
_MANY_DISTINCT = 0.5  # share of rows with a value of their own, from which a model learns nothing
_MIN_ROWS = 30  # rows from which "nearly each row has its own text" says something
_TEXT_LIMIT = 256  # characters of a text that a row takes


def infer_column(column: SourceColumn, csv: CsvFormat) -> ColumnProfile:
    """Infer the type of a column, whose numbers are written as `csv` says."""
    rows = len(column.codes)
    cells, missing, missing_rows = _split_missing(column)
    _, unit = find_unit(column.name)
    start = ColumnProfile(
        column.name,
        ColumnType.TEXT,
        rows,
        missing_rows,
        missing,
        unit=unit,
        distinct=len(cells.texts),
    )
    if not len(cells.texts):
        is_nested = (column.stored_as or "").startswith(_NO_TEXT)
        return start.without(
            f"a row has no type for what is stored as {column.stored_as}"
            if is_nested
            else "every cell is missing"
        )
    profile = _infer_stored(start, cells, column.stored_as, csv) or _infer_text(start, cells, csv)
    if len(cells.texts) == 1:
        value = cells.texts[0].as_py()
        return profile.without(
            f"every cell {'that is not missing ' * bool(missing_rows)}holds {value[:40]!r}"
        )
    return profile


def _split_missing(column: SourceColumn) -> tuple[Cells, tuple[str, ...], int]:
    """The cells that are not missing, the texts of those that are, and how many rows hold one."""
    texts, counts = column.texts, column.counts
    trimmed = pc.utf8_trim(texts, SPACES)
    is_missing = np.asarray(
        pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(MISSING, trimmed.type))
    )
    if column.stored_as is not None:  # a type of its own writes null
        is_missing &= column.stored_as == "string"
    spellings = dict.fromkeys(texts.filter(pa.array(is_missing)).to_pylist())
    present = _merge(trimmed.filter(pa.array(~is_missing)), counts[~is_missing])
    has_spaces = not bool(pc.all(pc.equal(texts, trimmed), min_count=0).as_py())
    nulls = int(np.count_nonzero(column.codes < 0))
    return (
        replace(present, has_spaces=has_spaces),
        tuple(spellings),
        nulls + int(counts[is_missing].sum()),
    )


def _merge(texts: Any, counts: NDArray[np.int64]) -> Cells:
    """Texts that are equal without spaces, once each with the sum of their counts."""
    encoded = texts.dictionary_encode()
    sums = np.bincount(
        np.asarray(encoded.indices), weights=counts, minlength=len(encoded.dictionary)
    )
    return Cells(encoded.dictionary, sums.astype(np.int64), has_spaces=False)


def _infer_stored(
    start: ColumnProfile, cells: Cells, stored_as: str | None, csv: CsvFormat
) -> ColumnProfile | None:
    """The profile of a column to which the file gives a type; None where it is text."""
    if stored_as is None:
        return None
    if stored_as == "string":
        return _infer_words(start, cells)
    if stored_as == "bool":
        return replace(start, type=ColumnType.BOOLEAN, example=True, reasons=("stored as boolean",))
    if stored_as.startswith("date"):
        return _as_dates(start, cells, "stored as date")
    if stored_as.startswith("timestamp"):
        zone = "tz=" in stored_as
        return _as_timestamps(start, cells, has_offset=zone, reason="stored as timestamp")
    numbers = as_numbers(start, cells, csv, stored_as=stored_as)
    return numbers or start.without(f"a row has no type for what is stored as {stored_as}")


def _infer_text(start: ColumnProfile, cells: Cells, csv: CsvFormat) -> ColumnProfile:
    """The profile of a column of text: the first type that all of its cells have."""
    words = {text.casefold() for text in cells.texts.slice(0, _MAX_WORDS).to_pylist()}
    if words in BOOLEANS and len(cells.texts) <= _MAX_WORDS:
        return _as_booleans(start, cells)
    dates = _infer_dates(start, cells)
    if dates is not None:
        return dates
    other = describe_other_date(cells.texts)
    if other is not None:
        return replace(start, type=ColumnType.DATE, example=cells.texts[0].as_py()).without(other)
    return infer_numbers(start, cells, csv) or _infer_words(start, cells)


def _infer_dates(start: ColumnProfile, cells: Cells) -> ColumnProfile | None:
    """The profile of a column of ISO dates, or of dates with times; None of anything else."""
    has_form = cells.fit(ISO_MIDNIGHT) | cells.fit(ISO_TIMESTAMP)
    if not has_form.any():
        return None
    fits = np.array(
        [
            form and is_calendar_date(text)
            for form, text in zip(has_form, cells.texts.to_pylist(), strict=True)
        ]
    )
    parted = part_odd(start, cells, fits, "dates")
    if parted is None:
        return None
    profile, dates = parted
    if dates.all_fit(ISO_MIDNIGHT):
        return _as_dates(profile, dates, "all cells are dates, YYYY-MM-DD")
    if not dates.all_fit(ISO_TIMESTAMP):
        return profile.without(
            "some cells are dates and others are dates with times: write all in one way"
        )
    has_offset = dates.fit(OFFSET)
    if has_offset.any() and not has_offset.all():
        return profile.without(
            "some times have an offset from UTC and others have none: write all in one way"
        )
    return _as_timestamps(
        profile, dates, has_offset=bool(has_offset.all()), reason="all cells are a date and a time"
    )


def _as_booleans(start: ColumnProfile, cells: Cells) -> ColumnProfile:
    spellings = " or ".join(repr(text) for text in cells.texts.slice(0, 4).to_pylist())
    return replace(
        start, type=ColumnType.BOOLEAN, example=True, reasons=(f"all cells are {spellings}",)
    )


def _as_dates(start: ColumnProfile, cells: Cells, reason: str) -> ColumnProfile:
    days = sorted(text[:10] for text in cells.texts.to_pylist())
    return replace(
        start,
        type=ColumnType.DATE,
        low=days[0],
        high=days[-1],
        example=days[len(days) // 2],
        reasons=(reason,),
    )


def _as_timestamps(
    start: ColumnProfile, cells: Cells, *, has_offset: bool, reason: str
) -> ColumnProfile:
    times = sorted(cells.texts.to_pylist())
    if cells.all_fit(ISO_MIDNIGHT):
        return _as_dates(start, cells, f"{reason}, always at midnight")
    doubts = () if has_offset else ("its times have no offset from UTC, and are read as UTC",)
    return replace(
        start,
        type=ColumnType.TIMESTAMP,
        low=times[0],
        high=times[-1],
        example=times[len(times) // 2],
        utc=not has_offset,
        reasons=(reason,),
        doubts=(*start.doubts, *doubts),
    )


def _infer_words(start: ColumnProfile, cells: Cells) -> ColumnProfile:
    """A closed or an open set of categories, or text that is left out because a model learns nothing from it."""
    order = np.argsort(-cells.counts, kind="stable")
    example = cells.texts[int(order[0])].as_py()
    once = int(np.count_nonzero(cells.counts == 1))
    lengths = np.asarray(pc.utf8_length(cells.texts))
    profile = replace(start, example=example, strip=cells.has_spaces)
    if lengths.max() > _TEXT_LIMIT:
        profile = replace(profile, max_length=_round_up(int(lengths.max())))
    distinct = len(cells.texts)
    if distinct <= MAX_CATEGORIES and not once:
        least = int(cells.counts.min())
        return replace(
            profile,
            type=ColumnType.CATEGORY,
            categories=tuple(sorted(cells.texts.to_pylist())),
            reasons=(
                f"{counted(distinct, 'text')}, each in {counted(least, 'row')} or more: a closed set",
            ),
        )
    return _infer_open(
        profile, cells, once=once, length=float(np.average(lengths, weights=cells.counts))
    )


def _infer_open(profile: ColumnProfile, cells: Cells, *, once: int, length: float) -> ColumnProfile:
    distinct = len(cells.texts)
    if cells.rows >= _MIN_ROWS and distinct > _MANY_DISTINCT * cells.rows:
        if length >= _FREE_TEXT_LENGTH:
            return profile.without(f"free text: the mean length of a cell is {length:.0f}")
        if cells.all_fit(r"^[^0-9]{0,3}[+-]?[0-9][0-9.,' ]*[^0-9]{0,4}$"):
            return profile.without(
                f"its cells, such as {str(profile.example)[:40]!r}, look like numbers that no reader takes: write them"
                " without signs and units, all with the same decimal mark"
            )
        return profile.without(f"{distinct:,} different texts in {counted(cells.rows, 'row')}")
    if distinct > MAX_CATEGORIES:
        reason = f"{distinct:,} different texts: an open set"
    else:
        reason = f"{counted(distinct, 'text')}, {once} of them in one row only, so others may come: an open set"
    return replace(profile, reasons=(reason,))


def _round_up(length: int) -> int:
    return -(-length * 2 // 100) * 100
