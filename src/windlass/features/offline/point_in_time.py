"""Joins labels with the features as they were known before each label: the point-in-time join."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from windlass.core.feature_view import ViewRecord
from windlass.features.ingest.casting import check_ids, day_of, null_outside_calendar
from windlass.features.offline.labels import LabelColumns, labels_frame, timestamp_type
from windlass.features.offline.parts import (
    BUCKET,
    bucket_of,
    is_first_row,
    sort_rows,
    state_columns,
    to_utc,
)
from windlass.features.offline.snapshot import EVENTS, STATES, Snapshot
from windlass.features.offline.training_set import (
    SnapshotParts,
    add_since_features,
    require_same_view,
)
from windlass.features.offline.windows import EventsBefore, first_positions, window_features

_AT, _STATE, _ROW, _LATE, _GROUP = "__at__", "__state__", "__row__", "__late__", "__group__"


def point_in_time(
    record: ViewRecord,
    snapshot: Snapshot,
    labels: Any,
    time: str,
    key: str | None = None,
    dtypes: Mapping[str, pl.DataType] | None = None,
) -> pa.Table:
    """Returns the labels [n] in their order, and beside each the view's features as they were known before it.

    `labels` are an Arrow table, a polars or pandas frame, or the path of a CSV or Parquet file; they need the
    entity's columns, and dates or times in the column `time`. A file is read as `read_labels` reads it, with the types
    of `dtypes`, else those of the events' columns; other columns of CSV stay text.

    Where the view's timestamp is a date, the day of a time counts, as its time zone shows it. Where it has a time of
    day, a time without a zone is in UTC, and a date is the beginning of its day in UTC.

    The newest state counts that is strictly older: than the moment, or with `key`, a column of event ids, than moment
    and key. So a label gets what is known for an event of its time, whichever event the view serves. Unknown
    entities, null ones, dates that are null or outside the years 1 to 9999, and states older than the view's ttl
    give nulls, and so do entities that were erased.

    Raises FeatureError for labels that do not fit, where another version of the view computed the snapshot, and
    where a part that is read was changed.
    """
    require_same_view(record, snapshot)
    frame = labels_frame(record, snapshot, labels, LabelColumns(time, key, dtypes or {}))
    wanted = _wanted(record, snapshot, frame, LabelColumns(time, key, {}))
    buckets = bucket_of(wanted.select(record.entity_columns), snapshot.buckets)
    partitions = wanted.with_columns(buckets).partition_by(BUCKET, as_dict=True, include_key=False)
    buckets_read = {int(bucket): part for (bucket,), part in partitions.items()} or {0: wanted}
    stored = SnapshotParts.open(snapshot, STATES, buckets_read.keys())
    events = (
        SnapshotParts.open(snapshot, EVENTS, buckets_read.keys())
        if record.window_features
        else None
    )
    states = [
        _states_before(record, stored, events, bucket, part)
        for bucket, part in buckets_read.items()
    ]
    features = _features(record, states, frame.height)
    joined: pa.Table = frame.hstack(features).to_arrow(compat_level=pl.CompatLevel.oldest())
    return joined


def _wanted(
    record: ViewRecord, snapshot: Snapshot, frame: pl.DataFrame, columns: LabelColumns
) -> pl.DataFrame:
    """Returns the entity, moment, key and position of each label that may have features."""
    has_times = timestamp_type(record, snapshot) == pl.Datetime
    at = to_utc(pl.col(columns.time), frame.schema[columns.time]) if has_times else None
    moments = (
        day_of(frame[columns.time])
        if at is None
        else null_outside_calendar(frame.select(at.cast(pl.Datetime("us"))).to_series())
    )
    wanted = frame.select(
        *(
            # beyond 64 bits there is no entity
            pl.col(name) if kind != "integer" else pl.col(name).cast(pl.Int64, strict=False)
            for name, kind in zip(record.entity_columns, snapshot.entity_types, strict=True)
        ),
        moments.alias(_AT),
        *([_key_values(frame[columns.key]).alias(record.event_id)] if columns.key else []),
        pl.int_range(pl.len()).alias(_ROW),
    ).drop_nulls()
    uuids = [
        name
        for name, kind in zip(record.entity_columns, snapshot.entity_types, strict=True)
        if kind == "uuid"
    ]
    canonical, _ = check_ids(wanted, dict.fromkeys(uuids, "uuid"))
    return canonical.drop_nulls()


def _key_values(keys: pl.Series) -> pl.Series:
    return keys.cast(pl.Int64) if keys.dtype.is_integer() else keys


def _states_before(
    record: ViewRecord,
    stored: SnapshotParts,
    stored_events: SnapshotParts | None,
    bucket: int,
    labels: pl.DataFrame,
) -> pl.DataFrame:
    """Returns the state before each label of one bucket, null where there is none; and the features of windows."""
    states = stored.rows(state_columns(record), bucket)
    entity = record.entity_columns
    at = [name for name in (*entity, _AT, record.event_id) if name in labels.columns]
    times = states.select(
        *entity,
        pl.col(record.timestamp).alias(_AT),
        *([record.event_id] if record.event_id in at else []),
    )
    # at the same time, states come after labels; among each other they keep their order
    both = pl.concat(
        [
            labels.select(*at, _ROW, pl.lit(None, pl.Int64).alias(_STATE)),
            times.select(
                *at, pl.lit(None, pl.Int64).alias(_ROW), pl.int_range(pl.len()).alias(_STATE)
            ),
        ]
    )
    both = sort_rows(
        both.with_columns(pl.col(_STATE).is_not_null().cast(pl.Int64).alias(_LATE)), [*at, _LATE]
    )
    # the newest state so far, if it is of the same entity
    group = is_first_row(both, entity).cast(pl.Int64).cum_sum().alias(_GROUP)
    matches = (
        both.with_columns(group)
        .with_columns(pl.col(_STATE).forward_fill().over(_GROUP))
        .filter(pl.col(_ROW).is_not_null())
        .select(_ROW, _AT, _STATE)
    )
    before = states.select(pl.col(record.timestamp, *record.stored_columns).gather(matches[_STATE]))
    joined = matches.drop(_STATE).hstack(before)
    if stored_events is None:
        return joined
    columns = [*entity, record.timestamp, *record.summed_columns]
    windows = _window_features(record, stored_events.rows(columns, bucket), matches)
    return joined.hstack(windows)


def _window_features(
    record: ViewRecord, events: pl.DataFrame, matches: pl.DataFrame
) -> list[pl.Series]:
    """Returns the features of windows of each label, null for one without a state."""
    has_state = matches[_STATE].is_not_null()
    last = matches[_STATE].fill_null(0).cast(pl.Int64).to_numpy()
    if not events.height:
        none = pl.Series([None], dtype=pl.Int64).new_from_index(0, matches.height)
        return [none.alias(name) for name in record.window_features]
    before = EventsBefore(events, matches[_AT], first_positions(record, events)[last], last + 1)
    return [column.set(~has_state, None) for column in window_features(record, before)]


def _features(record: ViewRecord, by_bucket: list[pl.DataFrame], rows: int) -> pl.DataFrame:
    """Returns the features of all labels in their order; null for those without a state."""
    states = pl.concat(by_bucket, how="vertical_relaxed")
    if record.ttl_days is not None:
        fresh = pl.col(_AT) - pl.col(record.timestamp) <= timedelta(days=record.ttl_days)
        states = states.with_columns(
            pl.when(fresh).then(name).alias(name)
            for name in (*record.stored_columns, *record.window_features)
        )
    since = add_since_features(record, states.lazy(), _AT)
    features = since.select(_ROW, *record.features).collect()
    if features.height < rows:
        every = pl.DataFrame({_ROW: pl.int_range(rows, eager=True)})
        features = every.join(features, on=_ROW, how="left")
    return sort_rows(features, [_ROW]).drop(_ROW)
