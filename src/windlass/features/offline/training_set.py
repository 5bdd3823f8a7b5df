"""Reads the training set out of a snapshot: each event, and the features as they were before it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.on_demand import HoursSince, SinceFeature, YearsSince
from windlass.errors import FeatureError
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.parts import (
    is_first_row,
    part_name,
    read_parts,
    rows_without,
    sort_columns,
    sort_rows,
    state_columns,
)
from windlass.features.offline.snapshot import EVENTS, STATES, Snapshot
from windlass.features.offline.windows import EventsBefore, window_features


def features_before(
    view: FeatureView, record: ViewRecord, states: pl.DataFrame, events: pl.DataFrame
) -> pl.DataFrame:
    """Returns the features of each of n events as they were before it, in the order of `states` and `events`.

    On-demand features are those of the event's moment; the rest as `states_before` returns it.
    """
    before = states_before(view, record, states).lazy()
    features = add_since_features(record, before, record.timestamp).collect()
    if not record.window_features:
        return features
    windows = window_features(record, EventsBefore.of_events(record, events))
    outdated = ~is_first_row(states, record.entity_columns) & ~_is_fresh(record, states)
    return features.with_columns(column.set(outdated, None) for column in windows)


def states_before(view: FeatureView, record: ViewRecord, states: pl.DataFrame) -> pl.DataFrame:
    """Returns the stored columns as they were before each of n events, in the order of `states`.

    `states` are sorted by entity, timestamp and event id. A state older than the view's ttl counts as
    unknown, as it does when features are served. Before an entity's first event, the columns have `view.defaults`.
    `view.request_columns` have the values of the event itself: before the first event, and where the view serves
    the latest event, always.
    """
    has_previous = pl.lit(~is_first_row(states, record.entity_columns))
    fresh = pl.lit(_is_fresh(record, states))
    stored = [
        pl.when(has_previous & fresh)
        .then(pl.col(name).shift(1))
        .when(~has_previous)
        .then(pl.col(name) if name in view.request_columns else pl.lit(view.defaults.get(name)))
        .alias(name)
        for name in record.stored_columns
        if not _is_own(view, name)
    ]
    before = states.select(*sort_columns(record), *stored)
    own = states.select(name for name in record.stored_columns if _is_own(view, name))
    return before.hstack(own).select(state_columns(record))


def _is_fresh(record: ViewRecord, states: pl.DataFrame) -> pl.Series:
    """Returns whether the state in the row before is not older than the view's ttl, Boolean [n]."""
    if record.ttl_days is None:
        return pl.Series([True], dtype=pl.Boolean).new_from_index(0, states.height)
    times = states[record.timestamp]
    fresh = times - times.shift(1) <= timedelta(days=record.ttl_days)
    return fresh.fill_null(value=False)


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

        `columns` include those of the entity. Raises FeatureError where the snapshot was removed meanwhile.
        """
        name = None if bucket is None else part_name(bucket)
        try:
            frame = read_parts([part for part in self.parts if name in (None, part.name)], columns)
        except FileNotFoundError:
            Snapshot.read(self.snapshot.folder)  # says that it is gone
            raise
        erased = self.erased.erased_in(frame.select(self.snapshot.order[:-2]))
        return rows_without(frame, erased) if erased.height else frame

    def scan(self) -> pl.LazyFrame:
        """Returns the rows of all parts as a lazy frame, without erased entities."""
        frame = pl.scan_parquet(list(self.parts), glob=False)
        erased = self.erased_entities()
        if erased is None:
            return frame
        return frame.join(erased.lazy(), on=erased.columns, how="anti", maintain_order="left")

    def erased_entities(self) -> pl.DataFrame | None:
        """Returns the entities in the parts that were erased, as their columns; None where there are none.

        An erasure that was broken off leaves some.
        """
        if not self.erased:
            return None
        erased = self.erased.erased_in(read_parts(self.parts, self.snapshot.order[:-2]))
        return erased if erased.height else None


def training_rows(view: FeatureView, record: ViewRecord, snapshot: Snapshot) -> pl.DataFrame:
    """Returns a row for each event: the view's features as they were before it, then the event's own columns.

    The rows are sorted by timestamp and event id. An event's column of the same name as a feature is left out, and so
    are erased entities. Raises FeatureError where another version of the view computed the snapshot, or a part was
    changed.
    """
    require_same_view(record, snapshot)
    states, events = (SnapshotParts.open(snapshot, kind).rows() for kind in (STATES, EVENTS))
    _require_same_rows(snapshot, states, events)
    features = features_before(view, record, states, events).select(record.features)
    own = events.drop(record.features, strict=False)
    return sort_rows(features.hstack(own), view.order)


def _require_same_rows(snapshot: Snapshot, states: pl.DataFrame, events: pl.DataFrame) -> None:
    """Raise FeatureError where an entity was erased between reading the states and the events."""
    if not states.select(snapshot.order).equals(events.select(snapshot.order)):
        raise FeatureError(
            f"Snapshot {snapshot.number} changed while it was read: an entity is being erased. Read it again."
        )


def add_since_features(record: ViewRecord, frame: pl.LazyFrame, at: str) -> pl.LazyFrame:
    """Returns the frame with the view's features of the time since a stored column, at the moments in the column `at`.

    The frame needs the stored columns that they are computed from; a column of a feature's name is replaced.
    """
    dtypes = frame.collect_schema()
    return frame.with_columns(
        _since(feature, at, dtypes).alias(name) for name, feature in record.since_features.items()
    )


def _since(feature: SinceFeature, at: str, dtypes: Mapping[str, pl.DataType]) -> pl.Expr:
    since, request_time = pl.col(feature.column), pl.col(at)
    if isinstance(feature, YearsSince) or not dtypes[at] == dtypes[feature.column] == pl.Datetime:
        since, request_time = since.dt.date(), request_time.dt.date()
    if isinstance(feature, YearsSince):
        years = request_time.dt.year().cast(pl.Int64) - since.dt.year().cast(pl.Int64)
        value = years - (_day_of_year(request_time) < _day_of_year(since)).cast(pl.Int64)
    else:
        elapsed = (request_time - since).dt
        value = elapsed.total_hours() if isinstance(feature, HoursSince) else elapsed.total_days()
    return pl.when(since <= request_time).then(value)


def _day_of_year(day: pl.Expr) -> pl.Expr:
    """Returns month and day as one number that sorts as a calendar does."""
    return day.dt.month().cast(pl.Int64) * 100 + day.dt.day().cast(pl.Int64)
