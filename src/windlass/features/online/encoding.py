"""Encodes tables of the offline store as rows of an online store; only writers import it, as it needs pyarrow."""

from collections.abc import Iterator
from itertools import repeat

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError
from windlass.features.offline.snapshot import BEFORE_EVENT, COMPUTED_AT
from windlass.features.online.key_value import RankedRow
from windlass.features.online.row_format import (
    BEFORE_PREFIX,
    HEADER_CELLS,
    MAX_SNAPSHOTS,
    SNAPSHOT_BITS,
    RowLayout,
)

_ROWS_PER_SLICE = 50_000  # rows that are Python objects at a time
_EPOCH = 719_163  # 1 January 1970, as an ordinal
_MAX_ORDINAL = 3_652_059  # 31 December 9999
_SUPPORTED = (
    pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string,
    pa.types.is_large_string, pa.types.is_date, pa.types.is_null,
)  # fmt: skip


def flatten_before_event(rows: pa.Table) -> pa.Table:
    """Returns the rows with the fields of their column `before_event`, where they have it, as columns of their own."""
    if BEFORE_EVENT not in rows.column_names:
        return rows
    fields = rows.select([BEFORE_EVENT]).flatten()
    stored = rows.drop_columns([BEFORE_EVENT])
    names = [*stored.column_names, *fields.column_names]  # these begin with BEFORE_PREFIX
    return pa.table([*stored.columns, *fields.columns], names)


def layout_of(rows: pa.Table, record: ViewRecord, view: str) -> RowLayout:
    """Returns the layout of rows that the version `view` computed. Raises FeatureError where columns are missing.

    Rows of another version than the record's may lack columns.
    """
    needed = [record.entity, record.timestamp, COMPUTED_AT]
    if view == record.version:
        needed += record.stored_columns
    missing = [name for name in needed if name not in rows.column_names]
    if missing:
        raise FeatureError(
            f"Rows for the online store of view {record.name!r} lack {', '.join(missing)}."
            " Build the features again."
        )
    stored = record.stored_columns
    wanted = [*stored, *(f"{BEFORE_PREFIX}{name}" for name in stored)]
    columns = tuple(name for name in wanted if name in rows.column_names)
    dtypes = {name: rows.schema.field(name).type for name in columns}
    for name, kind in dtypes.items():
        if not any(fits(kind) for fits in _SUPPORTED):
            raise FeatureError(
                f"Column {name!r} of view {record.name!r} is of type {kind}, which the online store cannot hold."
                " Cast it to a number, a boolean, text or a date in the view's transform."
            )
    return RowLayout(
        view=view,
        columns=columns,
        dates=tuple(name for name, kind in dtypes.items() if pa.types.is_date(kind)),
    )


def encode(
    rows: pa.Table, record: ViewRecord, snapshot: int, layout: RowLayout
) -> Iterator[RankedRow]:
    """Yields the encoded rows, sorted by entity, with NaN and infinity as null. Raises FeatureError."""
    if not 0 < snapshot <= MAX_SNAPSHOTS:
        raise FeatureError(f"Snapshots are numbered from 1 to {MAX_SNAPSHOTS}, not {snapshot}.")
    table = pa.table(
        [
            _entities(rows[record.entity], record),
            _ranks(rows[record.timestamp], record, snapshot),
            rows[COMPUTED_AT],
            *(
                _ordinals(rows[name], name, record) if name in layout.dates else rows[name]
                for name in layout.columns
            ),
        ],
        names=list(map(str, range(HEADER_CELLS + len(layout.columns)))),
    )
    return _rows(table.sort_by("0"), layout.number)


def _rows(table: pa.Table, layout: int) -> Iterator[RankedRow]:
    for start in range(0, len(table), _ROWS_PER_SLICE):
        part = table.slice(start, _ROWS_PER_SLICE)
        entities, ranks, computed, *stored = (column.to_pylist() for column in part.columns)
        cells = zip(ranks, repeat(layout), computed, *stored, strict=False)
        yield from zip(entities, ranks, map(orjson.dumps, cells), strict=True)


def _entities(column: pa.ChunkedArray, record: ViewRecord) -> pa.ChunkedArray:
    if not pa.types.is_integer(column.type) or column.null_count:
        raise FeatureError(
            f"Entity column {record.entity!r} of view {record.name!r} is of type {column.type} with"
            f" {column.null_count} nulls. Entities are 64-bit integers."
        )
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise FeatureError(
            f"Entity column {record.entity!r} of view {record.name!r} holds integers beyond 64 bits with a sign."
        ) from error


def _ranks(column: pa.ChunkedArray, record: ViewRecord, snapshot: int) -> pa.ChunkedArray:
    if not pa.types.is_date(column.type) or column.null_count:
        raise FeatureError(
            f"Time column {record.timestamp!r} of view {record.name!r} is of type {column.type} with"
            f" {column.null_count} nulls. Events happen on a date."
        )
    days = _ordinals(column, record.timestamp, record).cast(pa.int64())
    return pc.add(pc.shift_left(days, SNAPSHOT_BITS), snapshot)


def _ordinals(column: pa.ChunkedArray, name: str, record: ViewRecord) -> pa.ChunkedArray:
    days = pc.add(column.cast(pa.date32()).cast(pa.int32()), _EPOCH)
    ends = pc.min_max(days).as_py()
    if ends["min"] is not None and not 1 <= ends["min"] <= ends["max"] <= _MAX_ORDINAL:
        raise FeatureError(
            f"Column {name!r} of view {record.name!r} holds dates outside the years 1 to 9999."
        )
    return days
