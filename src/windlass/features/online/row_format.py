"""Format of a row in an online store: a JSON array of its rank, its layout, `computed_at` and the stored columns.

The stored columns are there twice: as they are after the latest event, and, named `before_event.…`, as they were
before it. Rows of earlier versions lack the latter.
The rank orders the states of an entity: its upper bits are the day of the event, or its second where it has a time of
day, its lower bits the number of the snapshot. A row that another version of the view wrote names another layout, and
is decoded by that.
"""

import hashlib
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.hashing import canonical_json
from windlass.core.on_demand import PointInTime, from_microseconds

SNAPSHOT_BITS = 31  # of a rank, below the day
MAX_SNAPSHOTS = (1 << SNAPSHOT_BITS) - 1
SECOND_SNAPSHOT_BITS = 24  # of a rank, below the second
MAX_SECOND_SNAPSHOTS = (1 << SECOND_SNAPSHOT_BITS) - 1
HEADER_CELLS = 3  # cells before the stored columns
BEFORE_PREFIX = "before_event."  # of the columns as they were before the latest event
RECENT_PREFIX = "recent_events."  # of lists: the times of recent events, the latest one included, and their values
AS_OF = "__as_of__"  # the time of the latest event, where it has a time of day

NO_BEFORE_EVENT = (
    "The stored features of view {view} were written by an earlier version of Windlass, which left out those before the"
    " latest event. Build the features again, then materialise them."
)


class RowLayout(BaseModel):
    """Layout of a row: the stored columns in order, which of them are dates, and the version of the view.

    Dates are stored as days since 1 January of the year 1, which is day 1; `times`, dates with a time of day, as
    microseconds since 1970 in UTC.
    """

    model_config = ConfigDict(frozen=True)

    view: str
    columns: tuple[str, ...]
    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = Field(default=(), exclude_if=().__eq__)

    @cached_property
    def number(self) -> int:
        """The id that rows refer to: 48 bits of the SHA-256 of the layout's content."""
        digest = hashlib.sha256(canonical_json(self.model_dump(mode="json")))
        return int.from_bytes(digest.digest()[:6], "big")

    def has_before_event(self) -> bool:
        """Returns whether rows have the columns as they were before the latest event."""
        return any(column.startswith(BEFORE_PREFIX) for column in self.columns)

    def position(self, column: str) -> int | None:
        """Returns the index of a column in a row; None where it is not stored."""
        return HEADER_CELLS + self.columns.index(column) if column in self.columns else None

    def value(self, column: str, cell: Any) -> Any:
        """Returns the decoded cell of a column."""
        if cell is None:
            return None
        if column in self.times:
            return from_microseconds(cell)
        return date.fromordinal(cell) if column in self.dates else cell

    def values(self, row: Sequence[Any]) -> dict[str, Any]:
        """Returns the decoded cells of a row, by column."""
        cells = zip(self.columns, row[HEADER_CELLS:], strict=True)
        return {column: self.value(column, cell) for column, cell in cells}


class StoredRow(NamedTuple):
    """Newest state of one entity: a row of the store, and its layout.

    Fields are decoded when they are read: a reader of a hundred entities needs only some.
    """

    row: list[Any]
    layout: RowLayout

    @property
    def values(self) -> dict[str, Any]:
        """The stored columns by name, dates as dates, null as None."""
        return self.layout.values(self.row)

    @property
    def as_of(self) -> PointInTime:
        """The day of the newest event, or its time in UTC where it has a time of day."""
        position = self.layout.position(AS_OF)
        if position is not None:
            return from_microseconds(self.row[position])
        return date.fromordinal(self.row[0] >> SNAPSHOT_BITS)

    @property
    def snapshot(self) -> int:
        """The number of the snapshot that it came with."""
        has_time = self.layout.position(AS_OF) is not None
        return int(self.row[0]) & (MAX_SECOND_SNAPSHOTS if has_time else MAX_SNAPSHOTS)

    @property
    def computed_at(self) -> float:
        """When it was computed from the events, epoch seconds."""
        return float(self.row[2])

    @property
    def view(self) -> str:
        """The version of the feature view that computed it."""
        return self.layout.view
