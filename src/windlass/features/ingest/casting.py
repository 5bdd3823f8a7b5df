"""Casts raw cells to the types of a contract; a cell that cannot be cast is null, and reported as a fault."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa

from windlass.core.entity_ids import CONTROL_CHARACTERS, MAX_TEXT_LENGTH, IdType, parse_uuid
from windlass.tables.text_cells import (
    null_missing,
    read_booleans,
    read_dates,
    read_integers,
    read_numbers,
)

_MAP: Any = getattr(pl, "Map", ())  # polars 1 reads maps as lists of structs
DType = pl.DataType | pl.datatypes.DataTypeClass


def null_outside_calendar(cell: pl.Series) -> pl.Series:
    """Returns the column, null where a date or time, or one in a list or struct, is outside the years 1 to 9999."""
    if not has_temporal(cell.dtype):
        return cell
    outside = pl.DataFrame({"cell": cell}).select(_outside_calendar(pl.col("cell"), cell.dtype))
    return cell.set(outside.to_series(), None)


def day_of(cell: pl.Series) -> pl.Series:
    """Returns the days of a column of dates or times, as its time zone shows them; null outside the years 1 to 9999."""
    return null_outside_calendar(_wall_clock(null_outside_calendar(cell)).cast(pl.Date))


def _wall_clock(cell: pl.Series) -> pl.Series:
    """Returns times without their zone, as it shows them: a cast to a date would take the day in UTC."""
    has_zone = isinstance(cell.dtype, pl.Datetime) and cell.dtype.time_zone is not None
    return cell.dt.replace_time_zone(None) if has_zone else cell


def temporal_as_text(column: pl.Series) -> pl.Series:
    """Returns dates and times of any range as text, in UTC; a column of another type as it is."""
    if not has_temporal(column.dtype):
        return column
    # through integers: in a time zone, some times have no year at all
    plain = column.cast(_map_dtype(column.dtype, _datetime_to_integer)).cast(
        _map_dtype(column.dtype, _without_zone)
    )
    arrow = plain.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series(column.name, arrow.cast(_temporal_to_string(arrow.type)))


def _outside_calendar(cell: pl.Expr, kind: DType) -> pl.Expr:
    """Returns whether a cell is, or holds, a date or time outside the years 1 to 9999; false for null."""
    if isinstance(kind, pl.Datetime):
        cell, kind = cell.to_physical().cast(pl.Datetime(kind.time_unit)), pl.Date()
    if kind == pl.Date:
        return cell.is_not_null() & ~cell.dt.year().is_between(1, 9999).fill_null(value=False)
    if isinstance(kind, pl.Array):
        kind, cell = pl.List(kind.inner), cell.arr.to_list()
    if isinstance(kind, _MAP):
        kind = _map_dtype(kind, lambda leaf: leaf)
        cell = cell.cast(kind)
    if isinstance(kind, pl.List):
        inside = cell.list.eval(_outside_calendar(pl.element(), kind.inner))
        return inside.list.any().fill_null(value=False)
    if isinstance(kind, pl.Struct):
        fields = (
            _outside_calendar(cell.struct.field(field.name), field.dtype) for field in kind.fields
        )
        return pl.any_horizontal(*fields)
    return pl.lit(value=False)


def has_temporal(kind: DType) -> bool:
    """Returns whether cells of a type are, or hold, dates or times."""
    if isinstance(kind, pl.List | pl.Array):
        return has_temporal(kind.inner)
    if isinstance(kind, _MAP):
        return has_temporal(kind.key) or has_temporal(kind.value)
    if isinstance(kind, pl.Struct):
        return any(has_temporal(field.dtype) for field in kind.fields)
    return kind.is_temporal()


def _map_dtype(kind: DType, leaf: Callable[[DType], DType]) -> DType:
    """Returns the type with `leaf` applied to its innermost types, and maps as lists of structs."""
    if isinstance(kind, _MAP):
        pair = {"key": _map_dtype(kind.key, leaf), "value": _map_dtype(kind.value, leaf)}
        return pl.List(pl.Struct(pair))
    if isinstance(kind, pl.List):
        return pl.List(_map_dtype(kind.inner, leaf))
    if isinstance(kind, pl.Array):
        return pl.Array(_map_dtype(kind.inner, leaf), kind.size)
    if isinstance(kind, pl.Struct):
        return pl.Struct(
            [pl.Field(field.name, _map_dtype(field.dtype, leaf)) for field in kind.fields]
        )
    return leaf(kind)


def _datetime_to_integer(kind: DType) -> DType:
    return pl.Int64() if isinstance(kind, pl.Datetime) else kind


def _without_zone(kind: DType) -> DType:
    return pl.Datetime(kind.time_unit) if isinstance(kind, pl.Datetime) else kind


def _temporal_to_string(kind: pa.DataType) -> pa.DataType:
    """Returns the Arrow type with text in the place of dates, times and durations."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_temporal_to_string(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_temporal_to_string(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_temporal_to_string(field.type)) for field in kind])
    return kind


# up to here, neighbouring integers are not rounded to the same float
_EXACT_BELOW: Mapping[pl.DataType, int] = {
    pl.Float16(): 1 << 11,
    pl.Float32(): 1 << 24,
    pl.Float64(): 1 << 53,
}

_WITHIN_INT64 = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
FAULT_SCHEMA = {"row": pl.UInt32, "column": pl.String, "reason": pl.String}


def cast_columns(
    cells: pl.DataFrame, dtypes: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the columns of `dtypes` in these types, null where a cell cannot be cast, and the faults.

    The faults have a row for each such cell: `row`, its position from 0, `column` and `reason`. NaN is null, and
    no fault. Faults are an infinite float; a date with a time of day; a year outside 1 to 9999; and for an
    integer a fraction, a float so large that it may have been rounded, a boolean, a date and a time.
    """
    values, faults = [], [pl.DataFrame(schema=FAULT_SCHEMA)]
    for name, kind in dtypes.items():
        cell = cells[name]
        if cell.dtype == pl.Binary and kind != pl.Binary:
            cell = _decode_utf8(cell)
        if cell.dtype.is_float():
            cell = cell.fill_nan(None)
        try:
            value = null_outside_calendar(_cast(null_outside_calendar(cell), kind))
        except pl.exceptions.PolarsError:  # such as a list for a number: no cell is of the type
            value = _nulls(kind, len(cell))
        if value.dtype != kind:  # such as a struct, which polars casts field by field
            value = _nulls(kind, len(cell))
        values.append(value.alias(name))
        wrong = (cells[name].is_not_null() & ~_is_nan(cells[name]) & value.is_null()).arg_true()
        if len(wrong):
            faults.append(_to_faults(wrong, name, f"{name}: is not {_describe_dtype(kind)}"))
    return pl.DataFrame(values), pl.concat(faults)


def _to_faults(rows: pl.Series, column: str, reason: str) -> pl.DataFrame:
    return pl.DataFrame({"row": rows}).select(
        pl.col("row").cast(pl.UInt32),
        pl.lit(column).alias("column"),
        pl.lit(reason).alias("reason"),
    )


def _decode_utf8(cell: pl.Series) -> pl.Series:
    """Returns bytes as text, null where they are not UTF-8."""
    try:
        return cell.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(cell.name, [_decode_cell(value) for value in cell], dtype=pl.String)


def _decode_cell(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _cast(cell: pl.Series, kind: pl.DataType) -> pl.Series:
    """Returns the column in a type, null where a cell cannot be cast."""
    text = cell.dtype == pl.String
    if kind == pl.Boolean and cell.dtype != pl.Boolean:
        return _read_text(cell.cast(pl.String), read_booleans)
    if kind == pl.Date:
        return _read_text(cell, read_dates) if text else _cast_date(cell)
    if isinstance(kind, pl.Datetime):
        return _read_times(cell, kind) if text else _cast_time(cell, kind)
    if kind.is_integer():
        return _cast_integer(cell, kind)
    value = (_read_text(cell, read_numbers) if text and kind.is_float() else cell).cast(
        kind, strict=False
    )
    if kind.is_float():
        return value.set(value.is_infinite() | value.is_nan(), None)
    return value


def _read_text(cell: pl.Series, read: Callable[[Any], Any]) -> pl.Series:
    """Returns a column of text as a function of `text_cells` reads it."""
    texts = cell.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series(cell.name, read(null_missing(texts, strip=True)))


_TIME = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(:[0-5][0-9])?(\.[0-9]{1,6})?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-5][0-9]))?$"
)


def _read_times(cell: pl.Series, kind: pl.Datetime) -> pl.Series:
    """Returns ISO 8601 times of text: those without an offset are in UTC, and none of a type with a time zone."""
    day, minute, second, fraction, zulu, sign, hours, minutes = (
        pl.col(str(group)) for group in range(1, 9)
    )
    text = pl.concat_str(
        day, pl.lit("T"), minute, second.fill_null(":00"), fraction.fill_null(".0")
    )
    local = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit=kind.time_unit, strict=False)
    ahead = hours.cast(pl.Int64) * 60 + minutes.cast(pl.Int64)
    offset = pl.when(sign == "-").then(-ahead).otherwise(ahead)
    has_offset = zulu.is_not_null() | sign.is_not_null()
    time = local - pl.duration(minutes=offset.fill_null(0))
    if kind.time_zone is not None:
        time = pl.when(has_offset).then(time.dt.replace_time_zone("UTC"))
        time = time.dt.convert_time_zone(kind.time_zone)
    groups = cell.to_frame("cell").select(pl.col("cell").str.extract_groups(_TIME)).unnest("cell")
    return groups.select(time.alias(cell.name)).to_series()


def _cast_time(cell: pl.Series, kind: pl.Datetime) -> pl.Series:
    """Returns times in a type; none of what has no time of day, or no zone where the type has one."""
    has_zone = isinstance(cell.dtype, pl.Datetime) and cell.dtype.time_zone is not None
    if cell.dtype == pl.Null or (
        isinstance(cell.dtype, pl.Datetime) and (has_zone or not kind.time_zone)
    ):
        return cell.cast(kind)
    return _nulls(kind, len(cell))


def uuids_as_text(cells: pl.DataFrame, types: Mapping[str, IdType]) -> pl.DataFrame:
    """Returns raw cells with UUIDs of 16 bytes, as a Parquet file may have them, as text."""
    binary = [
        name
        for name, kind in types.items()
        if kind == "uuid" and name in cells.columns and cells[name].dtype == pl.Binary
    ]
    for name in binary:
        if (cells[name].bin.size() == UUID_BYTES).any():
            texts = [
                str(UUID(bytes=cell)) if cell is not None and len(cell) == UUID_BYTES else cell
                for cell in cells[name]
            ]
            encoded = [text.encode() if isinstance(text, str) else text for text in texts]
            cells = cells.with_columns(pl.Series(name, encoded, dtype=pl.Binary))
    return cells


UUID_BYTES = 16


def check_ids(
    frame: pl.DataFrame, types: Mapping[str, IdType]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the rows with ids in their canonical form, null where one cannot be used, and the faults.

    The faults are as `cast_columns` returns them. An empty text cannot be one.
    """
    faults = [pl.DataFrame(schema=FAULT_SCHEMA)]
    for name, kind in types.items():
        if kind == "integer":
            continue
        texts = frame[name]
        canonical = _canonical_uuids(texts) if kind == "uuid" else _usable_texts(texts)
        frame = frame.with_columns(canonical)
        wrong = (texts.is_not_null() & canonical.is_null()).arg_true()
        if len(wrong):
            faults.append(_to_faults(wrong, name, f"{name}: {_ID_REASONS[kind]}"))
    return frame, pl.concat(faults)


_ID_REASONS = {
    "uuid": "is not a UUID",
    "text": f"is empty, has control characters, or more than {MAX_TEXT_LENGTH} characters",
}


def _usable_texts(texts: pl.Series) -> pl.Series:
    usable = texts.str.len_chars().is_between(1, MAX_TEXT_LENGTH) & ~texts.str.contains(
        CONTROL_CHARACTERS
    )
    return texts.set(~usable.fill_null(value=True), None)


def _canonical_uuids(texts: pl.Series) -> pl.Series:
    canonical = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    if texts.str.contains(canonical).all():
        return texts
    parsed = [None if text is None else parse_uuid(text) for text in texts]
    return pl.Series(texts.name, parsed, dtype=pl.String)


def _cast_integer(cell: pl.Series, kind: pl.DataType) -> pl.Series:
    if cell.dtype.is_temporal() or cell.dtype == pl.Boolean:
        return _nulls(kind, len(cell))
    if cell.dtype == pl.String and kind in _WITHIN_INT64:
        cell = _read_text(cell, read_integers)
    value = cell.cast(kind, strict=False)
    if cell.dtype.is_float():
        exact = (cell == cell.floor()) & (cell.abs() < _EXACT_BELOW[cell.dtype])
        return value.set(~exact, None)
    if cell.dtype.is_decimal():
        return value.set(value.cast(cell.dtype, strict=False).ne_missing(cell), None)
    return value


def _cast_date(cell: pl.Series) -> pl.Series:
    if isinstance(cell.dtype, pl.Datetime):
        times = _wall_clock(cell)
        days = times.cast(pl.Date)
        return days.set(days.cast(times.dtype) != times, None)
    if cell.dtype in (pl.Date, pl.Null):
        return cell.cast(pl.Date)
    return _nulls(pl.Date(), len(cell))


def _nulls(kind: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=kind).new_from_index(0, length)


def _is_nan(cell: pl.Series) -> pl.Series:
    if cell.dtype.is_float():
        return cell.is_nan().fill_null(value=False)
    return pl.Series([False]).new_from_index(0, len(cell))


def _describe_dtype(kind: pl.DataType) -> str:
    names = {pl.Date: "a date (YYYY-MM-DD)", pl.String: "UTF-8 text", pl.Boolean: "true or false"}
    if kind.is_integer():
        return "a whole number"
    if isinstance(kind, pl.Datetime):
        zone = "" if kind.time_zone is None else ", with an offset such as Z or +02:00"
        return f"a time (YYYY-MM-DDTHH:MM:SS{zone})"
    if kind.is_nested() and has_temporal(kind):
        return f"a {kind} in the years 1 to 9999"
    return "a number" if kind.is_float() else names.get(kind.base_type(), f"of type {kind}")
