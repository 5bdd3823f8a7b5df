"""What an online store knows of an entity: the stored columns after its newest event, and whence they are."""

from datetime import date
from typing import Any, NamedTuple

from windlass.features.online.layout import MOST_SNAPSHOTS, SNAPSHOT_BITS, Layout


class Known(NamedTuple):
    """What is known of one entity: a row of the store, and the layout that it is read by.

    It is decoded as it is asked: a reader of a hundred entities needs only a part of it.
    """

    row: list[Any]
    layout: Layout

    @property
    def values(self) -> dict[str, Any]:
        """The stored columns by name, dates as dates, null as None."""
        return self.layout.values(self.row)

    @property
    def as_of(self) -> date:
        """The day of the newest event."""
        return date.fromordinal(self.row[0] >> SNAPSHOT_BITS)

    @property
    def snapshot(self) -> int:
        """The number of the snapshot that it came with."""
        return int(self.row[0]) & MOST_SNAPSHOTS

    @property
    def computed_at(self) -> float:
        """When it was computed from the events, epoch seconds."""
        return float(self.row[2])

    @property
    def view(self) -> str:
        """The version of the feature view that computed it."""
        return self.layout.view
