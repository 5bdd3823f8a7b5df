"""Joins labels with the features as they were known before each label: the point-in-time join."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from windlass.core.feature_view import ViewRecord
from windlass.features.ingest.casting import day_of
from windlass.features.offline.labels import LabelColumns, labels_frame
from windlass.features.offline.parts import BUCKET, bucket_of, sort_rows, state_columns
from windlass.features.offline.snapshot import STATES, Snapshot
from windlass.features.offline.training_set import (
    SnapshotParts,
    add_on_demand_features,
    require_same_view,
)

_AT, _STATE, _ROW, _LATE = "__at__", "__state__", "__row__", "__late__"


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
    entity's column, and dates in the column `time`. A file is read as `read_labels` reads it, with the types of
    `dtypes`, else those of the events' columns; other columns of CSV stay text.

    The day of a time is the one that its time zone shows.

    The newest state counts that is strictly older: than the date, or with `key`, a column of integers, than date
    and key. So a label gets what is known for an event of its time, whichever event the view serves. Unknown
    entities, null ones, dates that are null or outside the years 1 to 9999, and states older than the view's ttl
    give nulls, and so do entities that were erased.

    Raises FeatureError for labels that do not fit, where another version of the view computed the snapshot, and
    where a part that is read was changed.
    """
    require_same_view(record, snapshot)
    frame = labels_frame(record, snapshot, labels, LabelColumns(time, key, dtypes or {}))
    wanted = frame.select(
        pl.col(record.entity).cast(pl.Int64, strict=False),  # beyond 64 bits there is no entity
        day_of(frame[time]).alias(_AT),
        *([pl.col(key).cast(pl.Int64).alias(record.event_id)] if key else []),
        pl.int_range(pl.len()).alias(_ROW),
    ).drop_nulls()
    buckets = bucket_of(wanted[record.entity], snapshot.buckets)
    partitions = wanted.with_columns(buckets).partition_by(BUCKET, as_dict=True, include_key=False)
    buckets_read = {int(bucket): part for (bucket,), part in partitions.items()} or {0: wanted}
    stored = SnapshotParts.open(snapshot, STATES, buckets_read.keys())
    states = [
        _states_before(record, stored.rows(state_columns(record), bucket), part)
        for bucket, part in buckets_read.items()
    ]
    features = _features(record, states, frame.height)
    joined: pa.Table = frame.hstack(features).to_arrow(compat_level=pl.CompatLevel.oldest())
    return joined


def _states_before(record: ViewRecord, states: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Returns the state before each label of one bucket, null where there is none."""
    entity = record.entity
    at = [name for name in (entity, _AT, record.event_id) if name in labels.columns]
    times = states.select(
        entity,
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
    last = pl.col(_STATE).forward_fill()
    owner = pl.when(pl.col(_STATE).is_not_null()).then(entity).forward_fill()
    matches = both.select(
        _ROW, _AT, pl.when(owner == pl.col(entity)).then(last).alias(_STATE)
    ).filter(pl.col(_ROW).is_not_null())
    before = states.select(pl.col(record.timestamp, *record.stored_columns).gather(matches[_STATE]))
    return matches.drop(_STATE).hstack(before)


def _features(record: ViewRecord, by_bucket: list[pl.DataFrame], rows: int) -> pl.DataFrame:
    """Returns the features of all labels in their order; null for those without a state."""
    states = pl.concat(by_bucket)
    if record.ttl_days is not None:
        fresh = pl.col(_AT) - pl.col(record.timestamp) <= timedelta(days=record.ttl_days)
        states = states.with_columns(
            pl.when(fresh).then(name).alias(name) for name in record.stored_columns
        )
    features: pl.DataFrame = add_on_demand_features(record, states, _AT).select(
        _ROW, *record.features
    )
    if features.height < rows:
        every = pl.DataFrame({_ROW: pl.int_range(rows, eager=True)})
        features = every.join(features, on=_ROW, how="left")
    return sort_rows(features, [_ROW]).drop(_ROW)
