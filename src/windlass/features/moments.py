"""Dates and times, inside lists and structs too: those that Python cannot hold, and all of them as text."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa

_MAP: Any = getattr(pl, "Map", ())  # polars 1 reads maps as lists of structs
Kind = pl.DataType | pl.datatypes.DataTypeClass


def in_years(cell: pl.Series) -> pl.Series:
    """Null where a date or a time lies outside the years 1 to 9999, or one inside a list or a struct does."""
    if not has_moments(cell.dtype):
        return cell
    outside = pl.DataFrame({"cell": cell}).select(_outside(pl.col("cell"), cell.dtype))
    return cell.set(outside.to_series(), None)


def as_text(column: pl.Series) -> pl.Series:
    """Dates and times as text, in UTC, whichever they are; everything else as it is."""
    if not has_moments(column.dtype):
        return column
    # by way of numbers: in a zone, some times have no year at all
    plain = column.cast(_exchanged(column.dtype, _number)).cast(_exchanged(column.dtype, _zoneless))
    arrow = plain.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series(column.name, arrow.cast(_texts(arrow.type)))


def _outside(cell: pl.Expr, kind: Kind) -> pl.Expr:
    """Whether a cell is, or holds, a date or a time outside the years; false for null."""
    if isinstance(kind, pl.Datetime):
        cell, kind = cell.to_physical().cast(pl.Datetime(kind.time_unit)), pl.Date()
    if kind == pl.Date:
        return cell.is_not_null() & ~cell.dt.year().is_between(1, 9999).fill_null(value=False)
    if isinstance(kind, pl.Array):
        kind, cell = pl.List(kind.inner), cell.arr.to_list()
    if isinstance(kind, _MAP):
        kind = _exchanged(kind, lambda leaf: leaf)
        cell = cell.cast(kind)
    if isinstance(kind, pl.List):
        inside = cell.list.eval(_outside(pl.element(), kind.inner))
        return inside.list.any().fill_null(value=False)
    if isinstance(kind, pl.Struct):
        fields = (_outside(cell.struct.field(one.name), one.dtype) for one in kind.fields)
        return pl.any_horizontal(*fields)
    return pl.lit(value=False)


def has_moments(kind: Kind) -> bool:
    """Whether cells of a type are, or hold, dates or times."""
    if isinstance(kind, pl.List | pl.Array):
        return has_moments(kind.inner)
    if isinstance(kind, _MAP):
        return has_moments(kind.key) or has_moments(kind.value)
    if isinstance(kind, pl.Struct):
        return any(has_moments(one.dtype) for one in kind.fields)
    return kind.is_temporal()


def _exchanged(kind: Kind, leaf: Callable[[Kind], Kind]) -> Kind:
    """The type with its innermost ones exchanged, and with lists of structs in the place of maps."""
    if isinstance(kind, _MAP):
        pair = {"key": _exchanged(kind.key, leaf), "value": _exchanged(kind.value, leaf)}
        return pl.List(pl.Struct(pair))
    if isinstance(kind, pl.List):
        return pl.List(_exchanged(kind.inner, leaf))
    if isinstance(kind, pl.Array):
        return pl.Array(_exchanged(kind.inner, leaf), kind.size)
    if isinstance(kind, pl.Struct):
        return pl.Struct([pl.Field(one.name, _exchanged(one.dtype, leaf)) for one in kind.fields])
    return leaf(kind)


def _number(kind: Kind) -> Kind:
    return pl.Int64() if isinstance(kind, pl.Datetime) else kind


def _zoneless(kind: Kind) -> Kind:
    return pl.Datetime(kind.time_unit) if isinstance(kind, pl.Datetime) else kind


def _texts(kind: pa.DataType) -> pa.DataType:
    """The Arrow type with text in the place of dates, times and durations."""
    if pa.types.is_temporal(kind):
        return pa.string()
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_texts(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_texts(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([one.with_type(_texts(one.type)) for one in kind])
    return kind
