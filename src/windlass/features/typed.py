"""Cells turned into the types that a contract asks for. What cannot be read as its type is a fault, not a crash."""

from collections.abc import Mapping

import polars as pl

from windlass.features.moments import has_moments, in_years

_TRUTH = {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False}
# up to here, neighbouring integers are not rounded to the same float
_EXACT_BELOW: Mapping[pl.DataType, int] = {
    pl.Float16(): 1 << 11,
    pl.Float32(): 1 << 24,
    pl.Float64(): 1 << 53,
}

FAULTS = {"row": pl.UInt32, "column": pl.String, "reason": pl.String}


def typed(
    cells: pl.DataFrame, kinds: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The columns of `kinds` in their types, null where a cell is none of its type, and the faults.

    Faults have a row for each such cell: `row`, its position from 0, `column` and `reason`. NaN is null. Faults
    are an infinite float, a time of day for a date, what lies outside the years 1 to 9999, and for an integer a
    fraction, a float so large that it may have been rounded, a truth, a date and a time.
    """
    values, faults = [], [pl.DataFrame(schema=FAULTS)]
    for name, kind in kinds.items():
        cell = cells[name]
        if cell.dtype == pl.Binary and kind != pl.Binary:
            cell = _decoded(cell)
        if cell.dtype.is_float():
            cell = cell.fill_nan(None)
        try:
            value = in_years(_read(in_years(cell), kind))
        except pl.exceptions.PolarsError:  # such as a list for a number: no cell is of the type
            value = _nothing(kind, len(cell))
        if value.dtype != kind:  # such as a struct, which polars casts field by field
            value = _nothing(kind, len(cell))
        values.append(value.alias(name))
        wrong = (cells[name].is_not_null() & ~_is_nan(cells[name]) & value.is_null()).arg_true()
        if len(wrong):
            reason = f"{name}: is no {_words(kind)}"
            faults.append(
                pl.DataFrame({"row": wrong}).select(
                    pl.col("row").cast(pl.UInt32),
                    pl.lit(name).alias("column"),
                    pl.lit(reason).alias("reason"),
                )
            )
    return pl.DataFrame(values), pl.concat(faults)


def _decoded(cell: pl.Series) -> pl.Series:
    """Bytes as text, null where they are not UTF-8."""
    try:
        return cell.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(cell.name, [_text(one) for one in cell], dtype=pl.String)


def _text(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _read(cell: pl.Series, kind: pl.DataType) -> pl.Series:
    """The cell as its type, null where it is none."""
    text = cell.dtype == pl.String
    if kind == pl.Date:
        return cell.str.to_date("%Y-%m-%d", strict=False) if text else _date(cell)
    if isinstance(kind, pl.Datetime) and text:
        return cell.str.to_datetime(strict=False, time_unit=kind.time_unit)
    if kind == pl.Boolean and cell.dtype != pl.Boolean:
        return cell.cast(pl.String).replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    if kind.is_integer():
        return _whole(cell, kind)
    value = cell.cast(kind, strict=False)
    if kind.is_float():
        return value.set(value.is_infinite() | value.is_nan(), None)
    return value


def _whole(cell: pl.Series, kind: pl.DataType) -> pl.Series:
    if cell.dtype.is_temporal() or cell.dtype == pl.Boolean:
        return _nothing(kind, len(cell))
    value = cell.cast(kind, strict=False)
    if cell.dtype.is_float():
        exact = (cell == cell.floor()) & (cell.abs() < _EXACT_BELOW[cell.dtype])
        return value.set(~exact, None)
    if cell.dtype.is_decimal():
        return value.set(value.cast(cell.dtype, strict=False).ne_missing(cell), None)
    return value


def _date(cell: pl.Series) -> pl.Series:
    if isinstance(cell.dtype, pl.Datetime):
        days = cell.cast(pl.Date)
        return days.set(days.cast(cell.dtype) != cell, None)
    if cell.dtype in (pl.Date, pl.Null):
        return cell.cast(pl.Date)
    return _nothing(pl.Date(), len(cell))


def _nothing(kind: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=kind).new_from_index(0, length)


def _is_nan(cell: pl.Series) -> pl.Series:
    if cell.dtype.is_float():
        return cell.is_nan().fill_null(value=False)
    return pl.Series([False]).new_from_index(0, len(cell))


def _words(kind: pl.DataType) -> str:
    names = {pl.Date: "date (YYYY-MM-DD)", pl.String: "text in UTF-8", pl.Boolean: "true or false"}
    if kind.is_integer():
        return "whole number"
    if kind.is_nested() and has_moments(kind):
        return f"{kind} in the years 1 to 9999"
    return "number" if kind.is_float() else names.get(kind.base_type(), str(kind))
