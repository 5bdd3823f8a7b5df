"""Encodes tables of the offline store as rows of an online store; only writers import it, as it needs pyarrow."""

from collections.abc import Iterator
from itertools import repeat

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from windlass.core.entity_ids import EntityKey, entity_key
from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError
from windlass.features.offline.snapshot import BEFORE_EVENT, COMPUTED_AT, RECENT_EVENTS
from windlass.features.online.key_value import RankedRow
from windlass.features.online.row_format import (
    AS_OF,
    BEFORE_PREFIX,
    HEADER_CELLS,
    MAX_SECOND_SNAPSHOTS,
    MAX_SNAPSHOTS,
    RECENT_PREFIX,
    SECOND_SNAPSHOT_BITS,
    SNAPSHOT_BITS,
    RowLayout,
)

_ROWS_PER_SLICE = 50_000  # rows that are Python objects at a time
_EPOCH = 719_163  # 1 January 1970, as an ordinal
_MAX_ORDINAL = 3_652_059  # 31 December 9999
_SECONDS_TO_1970 = _EPOCH * 86_400  # from the year 0
_MAX_KEY_BYTES = 2_600  # of an entity of several columns: what an index of PostgreSQL holds
_SUPPORTED = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string,
    pa.types.is_large_string, pa.types.is_date, pa.types.is_null, pa.types.is_timestamp,
)  # fmt: skip


def flatten_structs(rows: pa.Table, record: ViewRecord) -> pa.Table:
    """Returns the rows with the fields of `before_event` and `recent_events`, where they have them, as columns.

    A view whose events have a time of day gets that of the latest event as a column of its own, too.
    """
    if BEFORE_EVENT in rows.column_names:
        fields = rows.select([BEFORE_EVENT]).flatten()
        rows = rows.drop_columns([BEFORE_EVENT])
        names = [*rows.column_names, *fields.column_names]  # these begin with BEFORE_PREFIX
        rows = pa.table([*rows.columns, *fields.columns], names)
    if RECENT_EVENTS in rows.column_names:
        recent = _recent_columns(rows[RECENT_EVENTS], record)
        rows = rows.drop_columns([RECENT_EVENTS])
        for name, column in recent.items():
            rows = rows.append_column(name, column)
    if record.timestamp in rows.column_names and pa.types.is_timestamp(rows[record.timestamp].type):
        rows = rows.append_column(AS_OF, rows[record.timestamp])
    return rows


def _recent_columns(column: pa.ChunkedArray, record: ViewRecord) -> dict[str, pa.Array]:
    """Returns the recent events as a list of times, as numbers, and a list of each summed column's values."""
    events = pl.DataFrame({"events": pl.from_arrow(column)})
    dtypes = events.clear().explode("events").unnest("events").schema
    lists = {}
    for name, kind in dtypes.items():
        field = pl.element().struct.field(name)
        if name == record.timestamp:
            is_day = kind == pl.Date
            field = field.cast(pl.Int64) + (_EPOCH if is_day else 0)
        else:
            field = field.fill_null(0)
        lists[f"{RECENT_PREFIX}{name}"] = (
            events.select(pl.col("events").list.eval(field))
            .to_series()
            .to_arrow(compat_level=pl.CompatLevel.oldest())
        )
    return lists


def layout_of(rows: pa.Table, record: ViewRecord, view: str) -> RowLayout:
    """Returns the layout of rows that the version `view` computed. Raises FeatureError where columns are missing.

    Rows of another version than the record's may lack columns.
    """
    needed = [*record.entity_columns, record.timestamp, COMPUTED_AT]
    recent = [f"{RECENT_PREFIX}{name}" for name in _recent_names(record)]
    if view == record.version:
        needed += [*record.stored_columns, *recent]
    missing = [name for name in needed if name not in rows.column_names]
    if missing:
        raise FeatureError(
            f"Rows for the online store of view {record.name!r} lack {', '.join(missing)}."
            " Build the features again."
        )
    stored = record.stored_columns
    wanted = [*stored, *(f"{BEFORE_PREFIX}{name}" for name in stored), AS_OF]
    columns = tuple(name for name in wanted if name in rows.column_names)
    dtypes = {name: rows.schema.field(name).type for name in columns}
    for name, kind in dtypes.items():
        if not any(fits(kind) for fits in _SUPPORTED):
            raise FeatureError(
                f"Column {name!r} of view {record.name!r} is of type {kind}, which the online store cannot hold."
                " Cast it to a number, a boolean, text, a date or a time in the view's transform."
            )
    return RowLayout(
        view=view,
        columns=(*columns, *(name for name in recent if name in rows.column_names)),
        dates=tuple(name for name, kind in dtypes.items() if pa.types.is_date(kind)),
        times=tuple(name for name, kind in dtypes.items() if pa.types.is_timestamp(kind)),
    )


def _recent_names(record: ViewRecord) -> list[str]:
    return [record.timestamp, *record.summed_columns] if record.window_features else []


def encode(
    rows: pa.Table, record: ViewRecord, snapshot: int, layout: RowLayout
) -> Iterator[RankedRow]:
    """Yields the encoded rows, sorted by entity, with NaN and infinity as null. Raises FeatureError."""
    columns = [_stored_column(rows[name], name, record, layout) for name in layout.columns]
    table = pa.table(
        [
            _keys(rows, record),
            _ranks(rows[record.timestamp], record, snapshot),
            rows[COMPUTED_AT],
            *columns,
        ],
        names=list(map(str, range(HEADER_CELLS + len(layout.columns)))),
    )
    return _rows(table.sort_by("0"), layout.number)


def _stored_column(
    column: pa.ChunkedArray, name: str, record: ViewRecord, layout: RowLayout
) -> pa.ChunkedArray:
    if name in layout.dates:
        return _ordinals(column, name, record)
    return _microseconds(column) if name in layout.times else column


def _rows(table: pa.Table, layout: int) -> Iterator[RankedRow]:
    for start in range(0, len(table), _ROWS_PER_SLICE):
        part = table.slice(start, _ROWS_PER_SLICE)
        entities, ranks, computed, *stored = (column.to_pylist() for column in part.columns)
        cells = zip(ranks, repeat(layout), computed, *stored, strict=False)
        yield from zip(entities, ranks, map(orjson.dumps, cells), strict=True)


def _keys(rows: pa.Table, record: ViewRecord) -> pa.ChunkedArray | pa.Array:
    columns = [_ids(rows[name], name, record) for name in record.entity_columns]
    if len(columns) == 1:
        return columns[0]
    keys: list[EntityKey] = [
        entity_key(entity) for entity in zip(*(c.to_pylist() for c in columns), strict=True)
    ]
    texts = pa.array(keys, pa.string())
    if keys and pc.max(pc.binary_length(texts)).as_py() > _MAX_KEY_BYTES:
        raise FeatureError(
            f"View {record.name!r} has an entity whose {', '.join(record.entity_columns)} together take more than"
            f" {_MAX_KEY_BYTES} bytes. Shorten them in the raw file."
        )
    return texts


def _ids(column: pa.ChunkedArray, name: str, record: ViewRecord) -> pa.ChunkedArray:
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (is_text or pa.types.is_integer(column.type)) or column.null_count:
        raise FeatureError(
            f"Entity column {name!r} of view {record.name!r} is of type {column.type} with"
            f" {column.null_count} nulls. Entities are 64-bit integers or text."
        )
    if is_text:
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise FeatureError(
            f"Entity column {name!r} of view {record.name!r} holds integers beyond 64 bits with a sign."
        ) from error


def _ranks(column: pa.ChunkedArray, record: ViewRecord, snapshot: int) -> pa.ChunkedArray:
    has_time = pa.types.is_timestamp(column.type)
    if not (has_time or pa.types.is_date(column.type)) or column.null_count:
        raise FeatureError(
            f"Time column {record.timestamp!r} of view {record.name!r} is of type {column.type} with"
            f" {column.null_count} nulls. Events happen on a date, or at a time."
        )
    bits, most = (
        (SECOND_SNAPSHOT_BITS, MAX_SECOND_SNAPSHOTS) if has_time else (SNAPSHOT_BITS, MAX_SNAPSHOTS)
    )
    if not 0 < snapshot <= most:
        raise FeatureError(f"Snapshots are numbered from 1 to {most}, not {snapshot}.")
    if has_time:
        since_1970 = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        moments = pc.add(since_1970, _SECONDS_TO_1970)
    else:
        moments = _ordinals(column, record.timestamp, record).cast(pa.int64())
    return pc.add(pc.shift_left(moments, bits), snapshot)


def _microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns times as microseconds since 1970; those without a zone are in UTC."""
    return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())


def _ordinals(column: pa.ChunkedArray, name: str, record: ViewRecord) -> pa.ChunkedArray:
    days = pc.add(column.cast(pa.date32()).cast(pa.int32()), _EPOCH)
    ends = pc.min_max(days).as_py()
    if ends["min"] is not None and not 1 <= ends["min"] <= ends["max"] <= _MAX_ORDINAL:
        raise FeatureError(
            f"Column {name!r} of view {record.name!r} holds dates outside the years 1 to 9999."
        )
    return days
