"""What is inferred of a column: its type, its values, why it is left out; and the cells that it is inferred from."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.scaffold.text_forms import MISSING_NUMBERS

_MIN_SHARE = 0.8  # of rows that are of a type, where a few other texts stand for missing ones
_MAX_ODD_TEXTS = 3


class ColumnType(StrEnum):
    """Type of a column, as a row declares it."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    CATEGORY = "category"
    TEXT = "text"


@dataclass(frozen=True)
class ColumnProfile:
    """What was inferred of a column.

    `low` and `high` are the smallest and the largest value that were seen; `categories` those of a closed set, None
    of an open one. `missing` holds the texts that stand for a missing value, as they are written. `left_out` says
    why the column is not an input. `reasons` say why it is of its type, `doubts` what may be wrong.
    """

    name: str
    type: ColumnType
    rows: int
    missing_rows: int = 0
    missing: tuple[str, ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    categories: tuple[str, ...] | None = None
    distinct: int = 0
    example: Any = None
    unit: str | None = None
    strip: bool = False
    utc: bool = False
    max_length: int | None = None
    left_out: str | None = None
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_nullable(self) -> bool:
        """Whether a cell is missing."""
        return self.missing_rows > 0

    def without(self, reason: str) -> "ColumnProfile":
        """Returns the profile of a column that is left out of the row, and why."""
        return replace(self, left_out=self.left_out or reason)


@dataclass(frozen=True)
class Cells:
    """The distinct texts [u] of a column that are not missing, without spaces around, and their counts [u]."""

    texts: Any
    counts: NDArray[np.int64]
    has_spaces: bool

    @property
    def rows(self) -> int:
        """How many rows hold one of the texts."""
        return int(self.counts.sum())

    def fit(self, pattern: str) -> NDArray[np.bool_]:
        """Which of the texts [u] have this form."""
        return np.asarray(pc.match_substring_regex(self.texts, pattern))

    def all_fit(self, pattern: str) -> bool:
        """Whether every text has this form."""
        return bool(pc.all(pc.match_substring_regex(self.texts, pattern), min_count=0).as_py())

    def take(self, mask: NDArray[np.bool_]) -> "Cells":
        """Returns the texts where the mask [u] is true."""
        return Cells(self.texts.filter(pa.array(mask)), self.counts[mask], self.has_spaces)


def part_odd(
    start: ColumnProfile, cells: Cells, fits: NDArray[np.bool_], kind: str
) -> tuple[ColumnProfile, Cells] | None:
    """Return the cells that fit a type, and the profile where the others are missing; None where these are too many.

    A few texts between numbers or dates, such as `-` or `unknown`, stand for a missing value.
    """
    odd = cells.texts.filter(pa.array(~fits)).to_pylist()
    if not fits.any() or len(odd) > _MAX_ODD_TEXTS:
        return None
    rest = cells.take(fits)
    if odd and rest.rows < _MIN_SHARE * cells.rows:
        return None
    strange = [text for text in odd if text.casefold() not in MISSING_NUMBERS]
    doubts = [f"{text[:40]!r} stands between {kind} and counts as missing" for text in strange]
    changed = replace(
        start,
        missing=(*start.missing, *odd),
        missing_rows=start.missing_rows + cells.rows - rest.rows,
        distinct=len(rest.texts),
        doubts=tuple(doubts),
    )
    return changed, rest
