"""Partitions tables by entity into buckets, one Parquet part each; any tool reads the folder as one table."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from windlass.core.atomic_files import fsync_path
from windlass.core.entity_ids import entity_key
from windlass.core.feature_view import ViewRecord
from windlass.features.offline.snapshot import BEFORE_EVENT

RESERVED_PREFIX = "__"  # of the columns that Windlass adds while it computes
BUCKET = f"{RESERVED_PREFIX}bucket{RESERVED_PREFIX}"
MAX_BUCKETS = 256  # files that are open at once while raw rows are ingested
_ROWS_PER_BUCKET = 200_000  # that one bucket should hold
# Knuth's multiplicative hash: ids of any pattern fall evenly
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def part_name(bucket: int) -> str:
    """Returns the name of a bucket's file."""
    return f"part-{bucket:03}.parquet"


def bucket_count(rows: int) -> int:
    """Returns the number of buckets for so many rows: a power of two."""
    wanted = max(1, rows // _ROWS_PER_BUCKET)
    return min(MAX_BUCKETS, 1 << (wanted - 1).bit_length())


def bucket_of(entities: pl.DataFrame, buckets: int) -> pl.Series:
    """Returns the bucket of each entity, Int32 [n], from its columns; stable for a number of buckets."""
    keys = entity_keys(entities)
    numbers = keys if keys.dtype.is_integer() else _checksums(keys)
    mixed = numbers.to_numpy().astype(np.uint64) * _HASH_FACTOR >> np.uint64(32)
    return pl.Series(BUCKET, (mixed % np.uint64(buckets)).astype(np.int32))


def _checksums(texts: pl.Series) -> pl.Series:
    """Returns the CRC-32 of each text; each different text is read once."""
    different = texts.unique()
    checksums = pl.Series([crc32(text.encode()) for text in different], dtype=pl.Int64)
    return texts.replace_strict(different, checksums, return_dtype=pl.Int64)


def entity_keys(entities: pl.DataFrame) -> pl.Series:
    """Returns the key of each entity, as `entity_key` makes it, from its columns in their order."""
    if entities.width == 1:
        return entities.to_series()
    keys = [entity_key(entity) for entity in entities.iter_rows()]
    return pl.Series(keys, dtype=pl.String)


def is_first_row(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Returns whether a row has another entity than the row before, Boolean [n]; rows are sorted by entity."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in columns)
    return frame.select(~same.fill_null(value=False)).to_series()


def rows_of(frame: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows whose entity is one of these, in their order; `entities` has the entity's columns only."""
    return frame.join(entities.unique(), on=entities.columns, how="semi", maintain_order="left")


def rows_without(frame: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows whose entity is none of these, in their order; `entities` has the entity's columns only."""
    return frame.join(entities.unique(), on=entities.columns, how="anti", maintain_order="left")


def write_part(frame: pl.DataFrame, path: Path) -> None:
    """Write a part and flush it to disk."""
    frame.write_parquet(path, compression="zstd", compression_level=1)
    fsync_path(path)


def read_parts(parts: Sequence[Path], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Reads the rows of several parts, in their order."""
    return pl.read_parquet(list(parts), columns=list(columns) if columns else None, glob=False)


def has_before_event(latest: Sequence[Path]) -> bool:
    """Returns whether parts of `latest`, all of one snapshot, have `before_event`; earlier versions left it out."""
    return all(BEFORE_EVENT in pl.read_parquet_schema(part) for part in latest[:1])


def sort_columns(record: ViewRecord) -> list[str]:
    """Returns the columns that sort and identify events: those of the entity, timestamp, event id."""
    return [*record.entity_columns, record.timestamp, record.event_id]


def state_columns(record: ViewRecord) -> list[str]:
    """Returns the columns of a state in order: those of `sort_columns`, then the stored ones."""
    return [*sort_columns(record), *record.stored_columns]


def normalise_states(frame: Any, record: ViewRecord, times: Collection[str] = ()) -> pl.DataFrame:
    """Returns an engine's states with the columns of a state only, integers and floats in 64 bits, NaN as null.

    `times` are the columns of events that have a time of day. Where the timestamp is one of them, any column may have
    one; otherwise only these may, and other times are dates: some engines compute times from dates.
    """
    dtypes = frame.schema
    casts: dict[str, pl.DataType] = {}
    for name in state_columns(record):
        kind = dtypes[name]
        if kind.is_integer():
            casts[name] = pl.Int64()
        elif kind.is_float() or kind.is_decimal() or kind == pl.Null:
            casts[name] = pl.Float64()
        elif kind == pl.Datetime and not {name, record.timestamp} & set(times):
            casts[name] = pl.Date()
    columns = [
        to_utc(pl.col(name), dtypes[name]).alias(name) if dtypes[name] == pl.Datetime else name
        for name in state_columns(record)
    ]
    chosen: pl.DataFrame = frame.select(columns).cast(casts)
    return chosen.with_columns(pl.selectors.float().fill_nan(None))


def to_utc(time: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Returns times in microseconds, in UTC and without a zone; dates as they are."""
    if not isinstance(kind, pl.Datetime):
        return time
    if kind.time_zone is not None:
        time = time.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return time.cast(pl.Datetime("us"))


_MAX_BITS = 63  # that a packed sort key may take


def sort_rows(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Returns the rows sorted by columns, stable.

    Where they are integers, dates or times whose ranges fit into one 64-bit integer, that is sorted: three times faster
    than several.
    """
    if frame.height < 2:
        return frame
    if any(frame.schema[name] == pl.String for name in columns):
        return frame.sort(columns, maintain_order=True)
    numbers = [pl.col(name).cast(pl.Int64) for name in columns]
    packed = pl.lit(0, pl.Int64)
    bits = 0
    for number, name in zip(numbers, columns, strict=True):
        low, high = frame.select(number.min().alias("low"), number.max().alias("high")).row(0)
        if low is None or frame[name].null_count():
            return frame.sort(columns, maintain_order=True)
        width = (high - low).bit_length()
        bits += width
        if bits > _MAX_BITS:
            return frame.sort(columns, maintain_order=True)
        packed = packed * (1 << width) + (number - low) if width else packed
    return frame.sort(packed, maintain_order=True) if bits else frame
