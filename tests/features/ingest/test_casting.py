"""Cells as the types of a contract: what cannot be read is null and a fault, never a crash."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from windlass.features.ingest.casting import cast_columns

MIDNIGHT = datetime.fromisoformat("2020-01-01")


@pytest.mark.parametrize(
    ("cells", "kind", "values", "wrong"),
    [
        ([b"1", b"1.0", b"x", None, b"9223372036854775808"], pl.Int64(), [1, 1, None, None, None], [2, 4]),
        ([1.0, 1.5, float("nan"), None], pl.Int64(), [1, None, None, None], [1]),
        ([Decimal("1.50"), Decimal("2.00"), None], pl.Int64(), [None, 2, None], [0]),
        ([2.0**53, 2.0**53 - 1, -1e17], pl.Int64(), [None, 2**53 - 1, None], [0, 2]),
        (pl.Series([2.0**24, 7.0], dtype=pl.Float32), pl.Int64(), [None, 7], [0]),
        ([True, False], pl.Int64(), [None, None], [0, 1]),
        ([date(2020, 1, 1), None], pl.Int64(), [None, None], [0]),
        ([MIDNIGHT], pl.Int64(), [None], [0]),
        ([300, 1], pl.Int8(), [None, 1], [0]),
        ([b"1e3", b"inf", b"", b"1,5"], pl.Float64(), [1000.0, None, None, None], [1, 2, 3]),
        ([float("inf"), float("nan"), 2.0], pl.Float64(), [None, None, 2.0], [0]),
        ([b"3021-09-18", b"2020-02-30", b"2020-1-1x"], pl.Date(), [date(3021, 9, 18), None, None], [1, 2]),
        ([b"0000-01-01", b"-0001-01-01", b"10000-01-01", b"9999-12-31"], pl.Date(), [None] * 3 + [date.max], [0, 1, 2]),
        (pl.Series([9**9, -719163, -719162]).cast(pl.Int32).cast(pl.Date), pl.Date(), [None, None, date.min], [0, 1]),
        (pl.Series([1 << 30, 0], dtype=pl.Int32).cast(pl.Date), pl.String(), [None, "1970-01-01"], [0]),
        (pl.Series([1 << 62, 0]).cast(pl.Datetime("us")), pl.Date(), [None, date(1970, 1, 1)], [0]),
        (pl.Series([(1 << 63) - 1, 0]).cast(pl.Datetime("ms", "UTC")), pl.Date(), [None, date(1970, 1, 1)], [0]),
        (pl.Series([1 << 62]).cast(pl.Datetime("us")), pl.Datetime("us"), [None], [0]),
        ([MIDNIGHT, MIDNIGHT + timedelta(hours=6)], pl.Date(), [date(2020, 1, 1), None], [1]),
        ([20200101, None], pl.Date(), [None, None], [0]),
        ([b"true", b"False", b"1", b"yes", b"ja"], pl.Boolean(), [True, False, True, True, None], [4]),
        ([b"caf\xc3\xa9", b"\xff"], pl.String(), ["café", None], [1]),
        ([1, 2], pl.String(), ["1", "2"], []),
        ([{"a": 1}, None], pl.Int64(), [None, None], [0]),
        ([[1], [2, 3], None], pl.Int64(), [None, None, None], [0, 1]),
    ],
)  # fmt: skip
def test_cells_are_read_as_their_type(
    cells: list[Any] | pl.Series, kind: pl.DataType, values: list[Any], wrong: list[int]
) -> None:
    frame, faults = cast_columns(pl.DataFrame({"cell": cells}), {"cell": kind})
    assert frame.schema["cell"] == kind
    assert frame["cell"].to_list() == values
    assert faults["row"].to_list() == wrong
    assert all(reason.startswith("cell: is not ") for reason in faults["reason"])


def test_columns_come_in_the_order_of_the_contract() -> None:
    cells = pl.DataFrame({"b": [1], "a": [2], "other": [3]})
    frame, _ = cast_columns(cells, {"a": pl.Int64(), "b": pl.Int64()})
    assert frame.columns == ["a", "b"]
