"""Reads the training set out of a snapshot: each event, and the features as they were before it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord, YearsSince
from windlass.errors import FeatureError
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.parts import part_name, read_parts, sort_rows, state_columns
from windlass.features.offline.snapshot import EVENTS, STATES, Snapshot


def features_before(view: FeatureView, record: ViewRecord, states: pl.DataFrame) -> pl.DataFrame:
    """Returns the features of each of n events as they were before it, in the order of `states`.

    On-demand features are those of the event's day; the rest as `states_before` returns it.
    """
    before = states_before(view, record, states).lazy()
    features: pl.LazyFrame = add_on_demand_features(record, before, record.timestamp)
    return features.collect()


def states_before(view: FeatureView, record: ViewRecord, states: pl.DataFrame) -> pl.DataFrame:
    """Returns the stored columns as they were before each of n events, in the order of `states`.

    `states` are sorted by entity, timestamp and event id. A state older than the view's ttl counts as
    unknown, as it does when features are served. Before an entity's first event, the columns have `view.defaults`.
    `view.request_columns` have the values of the event itself: before the first event, and where the view serves
    the latest event, always.
    """
    entity, time = pl.col(record.entity), pl.col(record.timestamp)
    has_previous = (entity == entity.shift(1)).fill_null(value=False)
    fresh = pl.lit(value=True)
    if record.ttl_days is not None:
        fresh = time - time.shift(1) <= timedelta(days=record.ttl_days)
    stored = [
        pl.when(has_previous & fresh)
        .then(pl.col(name).shift(1))
        .when(~has_previous)
        .then(pl.col(name) if name in view.request_columns else pl.lit(view.defaults.get(name)))
        .alias(name)
        for name in record.stored_columns
        if not _is_own(view, name)
    ]
    before = states.select(entity, *(pl.col(name) for name in view.order), *stored)
    own = states.select(name for name in record.stored_columns if _is_own(view, name))
    return before.hstack(own).select(state_columns(record))


def _is_own(view: FeatureView, column: str) -> bool:
    """Whether every event brings its own value of a stored column."""
    return view.serves == "latest" and column in view.request_columns


def require_same_view(record: ViewRecord, snapshot: Snapshot) -> None:
    """Raise FeatureError where a snapshot was computed by another version of the view."""
    if snapshot.view != record.version:
        raise FeatureError(
            f"Snapshot {snapshot.number} was computed by version {snapshot.view} of view {record.name}, which is"
            f" {record.version} now. Build a new one with `windlass features build`, or go back to that version."
        )


@dataclass(frozen=True)
class SnapshotParts:
    """Verified parts of a snapshot of one kind, events or states, of some buckets or of all."""

    snapshot: Snapshot
    parts: tuple[Path, ...]
    erased: ErasedEntities

    @staticmethod
    def open(
        snapshot: Snapshot, kind: str, buckets: Collection[int] | None = None
    ) -> "SnapshotParts":
        """Verifies the parts. Raises FeatureError where one was changed, or is gone."""
        names = None if buckets is None else {part_name(bucket) for bucket in buckets}
        parts = tuple(snapshot.verified_parts(kind, names))
        return SnapshotParts(snapshot, parts, ErasedEntities.of_snapshot(snapshot.folder))

    def rows(self, columns: Sequence[str] | None = None, bucket: int | None = None) -> pl.DataFrame:
        """Reads the rows of all parts in their order, or of one bucket, without erased entities.

        `columns` include the entity's. Raises FeatureError where the snapshot was removed meanwhile.
        """
        name = None if bucket is None else part_name(bucket)
        try:
            frame = read_parts([part for part in self.parts if name in (None, part.name)], columns)
        except FileNotFoundError:
            Snapshot.read(self.snapshot.folder)  # says that it is gone
            raise
        entity = self.snapshot.order[0]
        erased = self.erased.erased_in(frame[entity])
        return frame.filter(~pl.col(entity).is_in(erased)) if erased else frame

    def scan(self) -> pl.LazyFrame:
        """Returns the rows of all parts as a lazy frame, without erased entities."""
        frame = pl.scan_parquet(list(self.parts), glob=False)
        erased = self.erased_ids()
        return frame.filter(~pl.col(self.snapshot.order[0]).is_in(erased)) if erased else frame

    def erased_ids(self) -> list[int]:
        """Returns the entities in the parts that were erased: an erasure that was broken off leaves some."""
        if not self.erased:
            return []
        entity = self.snapshot.order[0]
        return self.erased.erased_in(read_parts(self.parts, [entity])[entity])


def training_rows(view: FeatureView, record: ViewRecord, snapshot: Snapshot) -> pl.DataFrame:
    """Returns a row for each event: the view's features as they were before it, then the event's own columns.

    The rows are sorted by timestamp and event id. An event's column of the same name as a feature is left out, and so
    are erased entities. Raises FeatureError where another version of the view computed the snapshot, or a part was
    changed.
    """
    require_same_view(record, snapshot)
    states, events = (SnapshotParts.open(snapshot, kind).rows() for kind in (STATES, EVENTS))
    _require_same_rows(snapshot, states, events)
    features = features_before(view, record, states).select(record.features)
    own = events.drop(record.features, strict=False)
    return sort_rows(features.hstack(own), view.order)


def _require_same_rows(snapshot: Snapshot, states: pl.DataFrame, events: pl.DataFrame) -> None:
    """Raise FeatureError where an entity was erased between reading the states and the events."""
    if not states.select(snapshot.order).equals(events.select(snapshot.order)):
        raise FeatureError(
            f"Snapshot {snapshot.number} changed while it was read: an entity is being erased. Read it again."
        )


def add_on_demand_features(record: ViewRecord, frame: Any, day: str) -> Any:
    """Returns a native frame, lazy or not, with the view's on-demand features on the date in the column `day`.

    The frame needs the stored columns that they are computed from; a column of a feature's name is replaced.
    """
    features = {name: _years_since(feature, day) for name, feature in record.at_request.items()}
    if not features:  # Narwhals refuses an empty list of columns
        return frame
    return nw.from_native(frame).with_columns(**features).to_native()


def _years_since(feature: YearsSince, day: str) -> nw.Expr:
    since, at = nw.col(feature.column), nw.col(day)
    years = at.dt.year().cast(nw.Int64) - since.dt.year().cast(nw.Int64)
    incomplete = _day_of_year(at) < _day_of_year(since)
    return nw.when(since <= at).then(years - incomplete.cast(nw.Int64))


def _day_of_year(day: nw.Expr) -> nw.Expr:
    """Returns month and day as one number that sorts as a calendar does."""
    return day.dt.month().cast(nw.Int64) * 100 + day.dt.day().cast(nw.Int64)
