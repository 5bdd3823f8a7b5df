"""What training and joins read of a snapshot: of their view, parts as they were written, and nobody who was erased."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError
from windlass.features.erased import ErasedEntities
from windlass.features.parts import part_name, read_parts
from windlass.features.snapshot import Snapshot


def refuse_other_view(record: ViewRecord, snapshot: Snapshot) -> None:
    """Raise FeatureError where a snapshot was computed by another version of the view."""
    if snapshot.view != record.version:
        raise FeatureError(
            f"Snapshot {snapshot.number} was computed by version {snapshot.view} of view {record.name}, which is"
            f" {record.version} now. Build a new one with `windlass features build`, or go back to that version."
        )


@dataclass(frozen=True)
class Stored:
    """The parts of one kind of a snapshot, events or states, of some buckets or of all."""

    snapshot: Snapshot
    parts: tuple[Path, ...]
    erased: ErasedEntities

    @staticmethod
    def of(snapshot: Snapshot, kind: str, buckets: Collection[int] | None = None) -> "Stored":
        """Look at every part first. Raises FeatureError where one is not as it was written, or is gone."""
        names = None if buckets is None else {part_name(bucket) for bucket in buckets}
        parts = tuple(snapshot.verified(kind, names))
        return Stored(snapshot, parts, ErasedEntities.of(snapshot.folder))

    def rows(self, columns: Sequence[str] | None = None, bucket: int | None = None) -> pl.DataFrame:
        """The rows of these parts in their order, or of a bucket's, without those who were erased.

        `columns` hold the entity's. Raises FeatureError where the snapshot was removed meanwhile.
        """
        name = None if bucket is None else part_name(bucket)
        try:
            frame = read_parts([one for one in self.parts if name in (None, one.name)], columns)
        except FileNotFoundError:
            Snapshot.read(self.snapshot.folder)  # says that it is gone
            raise
        entity = self.snapshot.order[0]
        gone = self.erased.among(frame[entity])
        return frame.filter(~pl.col(entity).is_in(gone)) if gone else frame
