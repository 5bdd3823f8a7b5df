"""Dates and times that Python cannot hold, also inside lists and structs: detected, and shown as text."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from tests.support.loan_view import VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.core.feature_view import FeatureView
from windlass.features.ingest.casting import cast_columns, null_outside_calendar, temporal_as_text

DAYS = pl.Series([1 << 30, 0, None, 1], dtype=pl.Int32).cast(pl.Date)
TIMES = pl.Series([1 << 62, 0, None, 1]).cast(pl.Datetime("us"))
ZONED = pl.Series([-(1 << 62), 0, None, 1]).cast(pl.Datetime("us", "Europe/Paris"))
SHAPES = {
    "plain": pl.col("x"),
    "list": pl.concat_list("x", "x"),
    "struct": pl.struct("x", other=pl.lit(1)),
    "array": pl.concat_list("x").list.to_array(1),
    "list of structs": pl.concat_list(pl.struct("x")),
    "struct of lists": pl.struct(pl.concat_list("x").alias("x")),
    "list of arrays": pl.concat_list(pl.concat_list("x").list.to_array(1)),
}
LOANS = make_loans(5, seed=1).head(4)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("cells", [DAYS, TIMES, ZONED], ids=["days", "times", "zoned"])
def test_what_lies_outside_the_years_is_null_and_all_is_text(
    cells: pl.Series, shape: pl.Expr
) -> None:
    column = pl.DataFrame({"x": cells}).select(cell=shape).to_series()
    within = null_outside_calendar(column)
    assert within.dtype == column.dtype
    assert within[0] is None
    assert within[1:].equals(column[1:], null_equal=True)
    texts = str(temporal_as_text(column).to_list())
    assert "1970-01-01" in texts
    assert "datetime" not in texts


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series("x", [[], None, [None]], dtype=pl.List(pl.Date)),
        pl.Series("x", [None, {"a": None}], dtype=pl.Struct({"a": pl.Date})),
        pl.Series("x", [], dtype=pl.List(pl.Datetime("ns", "UTC"))),
        pl.Series("x", [[timedelta(days=1)], None]),
        pl.Series("x", [[1], [2]]),
        pl.Series("x", ["a", None]),
    ],
)
def test_other_values_stay(cells: pl.Series) -> None:
    assert null_outside_calendar(cells).equals(cells, null_equal=True)
    assert len(temporal_as_text(cells)) == len(cells)


@pytest.mark.parametrize("day", [1 << 30, 1])
def test_values_inside_maps_are_converted_too(day: int) -> None:
    paid = pa.array([[("a", day)], [], None], pa.map_(pa.string(), pa.date32()))
    column = pl.Series("x", paid)
    expected = "1970-01-02" if day == 1 else "<value out of range: 1073741824>"
    assert null_outside_calendar(column).null_count() == (1 if day == 1 else 2)
    assert temporal_as_text(column).to_list() == [[{"key": "a", "value": expected}], [], None]


def with_dates(kind: pl.DataType) -> FeatureView:
    """The view, with a column `paid` of this type in its contract."""

    def contract() -> Any:
        import pandera.polars as pa

        return VIEW.contract().add_columns({"paid": pa.Column(kind, nullable=True)})

    return replace(VIEW, contract=contract, max_invalid_share=1.0)


@pytest.mark.parametrize("name", ["list", "struct"])
def test_a_row_with_such_a_date_is_quarantined(tmp_path: Path, name: str) -> None:
    paid = pl.DataFrame({"x": DAYS}).select(paid=SHAPES[name]).to_series()
    snapshot = build_snapshot(
        offline_store(tmp_path), LOANS.with_columns(paid), view=with_dates(paid.dtype)
    )
    bad = pl.read_parquet(snapshot.quarantine_parts()).row(0, named=True)
    (reason,) = bad["reasons"]
    assert (bad["file"], bad["row"], snapshot.events) == ("raw.parquet", 1, 3)
    assert reason.startswith(f"paid: is not a {'List' if name == 'list' else 'Struct'}(")
    assert reason.endswith("in the years 1 to 9999")
    assert "out of range: 1073741824" in bad["raw"]


def test_an_unused_column_ends_no_build(tmp_path: Path) -> None:
    paid = pl.DataFrame({"x": DAYS}).select(paid=SHAPES["list"]).to_series()
    loans = LOANS.with_columns(paid, loan_amount=pl.Series([-1.0, 1.0, 1.0, 1.0]))
    snapshot = build_snapshot(
        offline_store(tmp_path), loans, view=replace(VIEW, max_invalid_share=1.0)
    )
    bad = pl.read_parquet(snapshot.quarantine_parts())
    assert bad["reasons"].to_list() == [["loan_amount: greater_than(0)"]]
    assert "out of range: 1073741824" in bad["raw"][0]


def test_a_time_in_a_zone_is_the_day_that_the_zone_shows() -> None:
    times = pl.Series(["2020-05-06T00:00", "2020-05-05T20:00", None]).str.to_datetime()
    zoned = pl.DataFrame({"x": times.dt.replace_time_zone("America/New_York")})
    values, faults = cast_columns(zoned, {"x": pl.Date()})
    assert values["x"].to_list() == [date(2020, 5, 6), None, None]
    assert faults["row"].to_list() == [1]  # 20:00 there is midnight in UTC, and still a time of day
