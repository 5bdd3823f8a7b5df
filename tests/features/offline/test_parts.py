"""Sorting by one packed number is sorting by several columns."""

from datetime import date

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.features.offline.parts import sort_rows

WIDE = st.integers(-(2**63), 2**63 - 1)
NARROW = st.integers(-3, 3)
ROWS = st.lists(st.tuples(WIDE | NARROW | st.none(), st.dates(), NARROW)) | st.lists(
    st.tuples(NARROW, st.dates(date(2020, 1, 1), date(2020, 1, 9)), NARROW), min_size=2
)


@examples(80)
@example([(2**63 - 1, date(3021, 9, 18), 1), (-(2**63), date(1, 1, 1), -1)])
@example([(5, date(2020, 1, 1), 1), (5, date(2020, 1, 1), 0)])
@given(ROWS)
def test_rows_are_sorted_and_equal_ones_stay_as_they_came(
    rows: list[tuple[int | None, date, int]],
) -> None:
    schema = {"a": pl.Int64, "b": pl.Date, "c": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("came")
    columns = ["a", "b", "c"]
    assert sort_rows(frame, columns).equals(frame.sort(columns, maintain_order=True))
