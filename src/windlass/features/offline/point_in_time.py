"""The point-in-time join: labels with a time in, the features as they were known then out."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError
from windlass.features.ingest.casting import null_outside_calendar
from windlass.features.offline.parts import BUCKET, bucket_of, sort_rows, state_columns
from windlass.features.offline.snapshot import STATES, Snapshot
from windlass.features.offline.training_set import SnapshotParts, require_same_view
from windlass.features.on_demand import add_on_demand_features

_AT, _STATE, _ROW, _LATE = "__at__", "__state__", "__row__", "__late__"


def point_in_time(
    record: ViewRecord, snapshot: Snapshot, labels: Any, time: str, key: str | None = None
) -> pa.Table:
    """The labels [n] as they are, in their order, and the view's features as they were known before each.

    `labels` are an Arrow table, a polars or pandas frame, or the path of a CSV or Parquet file; they need the
    entity's column, and dates in the column `time`. The newest state counts that is strictly older: than the
    date, or with `key`, a column of integers, than date and key. Unknown entities, null ones, dates that are
    null or outside the years 1 to 9999, and states older than the view's ttl give nulls, and so do entities
    that were erased. Raises FeatureError for labels that do not fit, where another version of the view computed
    the snapshot, and where a part that is read is not as it was written.
    """
    require_same_view(record, snapshot)
    frame = _read_labels(record, labels, time, key)
    wanted = frame.select(
        pl.col(record.entity).cast(pl.Int64, strict=False),  # beyond 64 bits nobody is known
        null_outside_calendar(frame[time]).cast(pl.Date).alias(_AT),
        *([pl.col(key).cast(pl.Int64).alias(record.event_id)] if key else []),
        pl.int_range(pl.len()).alias(_ROW),
    ).drop_nulls()
    buckets = bucket_of(wanted[record.entity], snapshot.buckets)
    parted = wanted.with_columns(buckets).partition_by(BUCKET, as_dict=True, include_key=False)
    asked = {int(bucket): part for (bucket,), part in parted.items()} or {0: wanted}
    stored = SnapshotParts.of(snapshot, STATES, asked.keys())
    found = [
        _states_before(record, stored.rows(state_columns(record), bucket), part)
        for bucket, part in asked.items()
    ]
    features = _features(record, found, frame.height)
    joined: pa.Table = frame.hstack(features).to_arrow(compat_level=pl.CompatLevel.oldest())
    return joined


def _states_before(record: ViewRecord, states: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The state before each label of one bucket, null where there is none."""
    entity = record.entity
    at = [name for name in (entity, _AT, record.event_id) if name in labels.columns]
    stood = states.select(
        entity,
        pl.col(record.timestamp).alias(_AT),
        *([record.event_id] if record.event_id in at else []),
    )
    # states come after labels of the same moment, and among each other stay as they are
    both = pl.concat(
        [
            labels.select(*at, _ROW, pl.lit(None, pl.Int64).alias(_STATE)),
            stood.select(
                *at, pl.lit(None, pl.Int64).alias(_ROW), pl.int_range(pl.len()).alias(_STATE)
            ),
        ]
    )
    both = sort_rows(
        both.with_columns(pl.col(_STATE).is_not_null().cast(pl.Int64).alias(_LATE)), [*at, _LATE]
    )
    last = pl.col(_STATE).forward_fill()
    owner = pl.when(pl.col(_STATE).is_not_null()).then(entity).forward_fill()
    chosen = both.select(
        _ROW, _AT, pl.when(owner == pl.col(entity)).then(last).alias(_STATE)
    ).filter(pl.col(_ROW).is_not_null())
    known = states.select(pl.col(record.timestamp, *record.stored_columns).gather(chosen[_STATE]))
    return chosen.drop(_STATE).hstack(known)


def _features(record: ViewRecord, found: list[pl.DataFrame], rows: int) -> pl.DataFrame:
    """The features of all labels in their order; null for those that were not looked for."""
    known = pl.concat(found)
    if record.ttl_days is not None:
        fresh = pl.col(_AT) - pl.col(record.timestamp) <= timedelta(days=record.ttl_days)
        known = known.with_columns(
            pl.when(fresh).then(name).alias(name) for name in record.stored_columns
        )
    made: pl.DataFrame = add_on_demand_features(record, known, _AT).select(_ROW, *record.features)
    if made.height < rows:
        every = pl.DataFrame({_ROW: pl.int_range(rows, eager=True)})
        made = every.join(made, on=_ROW, how="left")
    return sort_rows(made, [_ROW]).drop(_ROW)


def _read_labels(record: ViewRecord, labels: Any, time: str, key: str | None) -> pl.DataFrame:
    frame = _to_frame(labels)
    fits = {
        record.entity: (pl.selectors.integer(), "integers"),
        time: (pl.selectors.date() | pl.selectors.datetime(), "dates"),
        **({key: (pl.selectors.integer(), "integers")} if key else {}),
    }
    for name, (dtypes, words) in fits.items():
        if name not in frame.columns or not frame.select(pl.col(name)).select(dtypes).width:
            raise FeatureError(f"The labels need a column {name} of {words}.")
    if key and frame[key].cast(pl.Int64, strict=False).null_count():
        raise FeatureError(
            f"The labels' column {key} has nulls, or numbers beyond 64 bits. Give every label a key, or none."
        )
    duplicates = [name for name in frame.columns if name in record.features]
    if duplicates:
        raise FeatureError(
            f"The labels have a column {duplicates[0]}, as the features do. Rename or drop it."
        )
    return frame


def _to_frame(labels: Any) -> pl.DataFrame:
    if not isinstance(labels, str | Path):
        frame: pl.DataFrame = nw.from_native(labels, eager_only=True).to_polars()
        return frame
    try:
        if Path(labels).suffix.lower() == ".csv":
            return pl.read_csv(labels, try_parse_dates=True)
        return pl.read_parquet(labels)
    except (OSError, pl.exceptions.PolarsError) as error:
        line: Any = str(error).splitlines()[0]
        raise FeatureError(f"{labels} cannot be read as labels: {line}.") from error
