"""Features of windows for tables are what is counted and added for each event by itself."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.order_view import START, OrderView

from windlass.core.on_demand import (
    CountWithin,
    HoursSince,
    RecentEvents,
    SumWithin,
    as_number,
    exact_sum,
)
from windlass.errors import FeatureError
from windlass.features.offline.windows import (
    EventsBefore,
    check_window_columns,
    recent_events,
    window_features,
)

FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)
ORDERS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 6 * 24), FLOATS, INTEGERS), min_size=1, max_size=30
)
VIEWS = [OrderView("integer"), OrderView("integer", with_times=False)]


@pytest.mark.parametrize("orders_view", VIEWS, ids=str)
@examples(60)
@given(ORDERS)
def test_columns_equal_what_is_computed_for_each_event(
    orders_view: OrderView, orders: list[Any]
) -> None:
    record = orders_view.view().record(orders_view.features)
    schema = {"customer": pl.Int64, "at": pl.Int64, "amount": pl.Float64, "items": pl.Int64}
    frame = pl.DataFrame(orders, schema=schema, orient="row")
    time = pl.lit(START.replace(tzinfo=None)) + pl.duration(hours=pl.col("at"))
    frame = frame.with_columns((time if orders_view.with_times else time.dt.date()).alias("at"))
    frame = frame.sort("customer", "at", maintain_order=True)
    columns = window_features(record, EventsBefore.of_events(record, frame))
    rows = frame.to_dicts()
    for position, row in enumerate(rows):
        mine = [other for other in rows[:position] if other["customer"] == row["customer"]]
        for column in columns:
            length = record.window_features[column.name].length
            inside = [other for other in mine if row["at"] - other["at"] < length]
            feature = record.window_features[column.name]
            if isinstance(feature, SumWithin):
                values = [
                    other[feature.column] for other in inside if other[feature.column] is not None
                ]
                total = sum(map(Fraction, values))
                assert column[position] == _rounded(total, feature.column)
            else:
                assert column[position] == len(inside)
    lists = recent_events(record, frame)
    assert lists is not None
    assert lists.len() == frame["customer"].n_unique()


def _rounded(total: Fraction | int, column: str) -> float | None:
    if column == "items":
        return int(total) if -(2**63) <= total < 2**63 else None
    try:
        return float(total)
    except OverflowError:
        return None


def test_a_window_ends_before_the_moment_that_is_its_length_ago() -> None:
    week = CountWithin(days=7)
    now = datetime(2026, 3, 8, 12, tzinfo=UTC)
    for age, counts in ((timedelta(days=7), 0), (timedelta(days=7) - timedelta(microseconds=1), 1), (timedelta(0), 1),
                        (-timedelta(microseconds=1), 0)):  # fmt: skip
        assert week.value_within(now, RecentEvents([as_number(now - age)])) == counts
    days = [as_number(now.date() - timedelta(days=age)) for age in (8, 7, 6, 0, -1)]
    assert week.value_within(now.date(), RecentEvents(days)) == 2


def test_sums_are_exact_or_null() -> None:
    assert exact_sum([1e16, 1.0, -1e16]) == 1.0
    assert exact_sum([0.1] * 10) == 1.0
    assert exact_sum([1e308, 1e308]) is None
    assert exact_sum([2**62, 2**62]) is None
    assert exact_sum([]) == 0


@pytest.mark.parametrize("wrong", [{}, {"days": 1, "hours": 1}, {"days": 0}, {"days": 4000}])
def test_a_window_has_one_length(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="days"):
        CountWithin(**wrong)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (SumWithin("price", days=1), "adds the column price, which it does not have"),
        (SumWithin("order", days=1), "adds the column order, which is of type String"),
        (CountWithin(hours=1), "needs hours, and at is a date"),
        (HoursSince("last_order_at"), "needs hours, and at is a date"),
    ],
)
def test_what_cannot_be_computed_is_refused(feature: Any, message: str) -> None:
    orders_view = OrderView("text", with_times=False)
    record = orders_view.view(at_request={"wrong": feature}).record(("wrong",))
    with pytest.raises(FeatureError, match=message):
        check_window_columns(record, {"order": pl.String(), "at": pl.Date()}, has_times=False)
