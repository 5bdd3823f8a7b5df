"""Features of the time since a column, for tables, are what `ViewRecord.features_on` computes for one entity."""

from datetime import date

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.loan_view import NO_JOB, PROJECT_VIEW

from windlass.features.offline.training_set import add_since_features

BORN = st.none() | st.dates(date(1890, 1, 1), date(2040, 1, 1)) | st.just(NO_JOB)
PAIRS = st.lists(st.tuples(BORN, BORN, st.dates(date(1950, 1, 1), date(2060, 1, 1))), min_size=1)
LEAP = date(2000, 2, 29)


@examples(60)
@example([(LEAP, NO_JOB, date(2021, 2, 28)), (LEAP, None, date(2021, 3, 1))])
@example([(LEAP, LEAP, date(2024, 2, 28)), (LEAP, LEAP, date(2024, 2, 29)), (LEAP, LEAP, LEAP)])
@example([(None, NO_JOB, date(2020, 12, 31))])
@given(PAIRS)
def test_columns_equal_what_is_computed_for_a_single_entity(
    rows: list[tuple[date | None, ...]],
) -> None:
    names = ["birthday", "job_start_date", "day"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Date), orient="row")
    expected = [
        PROJECT_VIEW.features_on(dict.fromkeys(PROJECT_VIEW.stored_columns) | row, row["day"])
        for row in frame.to_dicts()
    ]
    on_demand = list(PROJECT_VIEW.at_request)
    wanted = [{name: features[name] for name in on_demand} for features in expected]
    lazy = add_since_features(PROJECT_VIEW, frame.lazy(), "day").collect()
    assert lazy.select(on_demand).to_dicts() == wanted
