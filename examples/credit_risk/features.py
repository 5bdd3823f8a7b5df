"""What is known of a client from their loans: the five features, each written once."""

from datetime import timedelta
from typing import Any

import narwhals as nw
from contract import contract

from windlass import FeatureView, YearsSince

MILLIONTH = 1_000_000


def history(loans: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """What is known of a client once each of their loans has been granted."""
    granted = _so_far(nw.col("loan_id").cum_count())
    # whole millionths add up to the same sum in any order and on any engine, fractions do not; and engines
    # round a half to different sides, but all agree on its floor
    millionths = (nw.col("loan_amount") * MILLIONTH + 0.5).floor().cast(nw.Int64)
    lent = _so_far(millionths.cum_sum())
    car = nw.col("flag_own_car")
    return loans.select(
        "id",
        "loan_date",
        "loan_id",
        "birthday",
        "job_start_date",
        nb_previous_loans=granted,
        # divided once: what is divided twice is rounded twice, and engines put the two together differently
        avg_amount_loans_previous=lent.cast(nw.Float64) / (granted * MILLIONTH),
        flag_own_car=nw.when(car == "Y").then(1).when(car == "N").then(0).otherwise(None),
    )


def _so_far(running: nw.Expr) -> nw.Expr:
    """A running count or sum over the client's loans up to this one; loans of one day by their id."""
    return running.over("id", order_by=("loan_date", "loan_id"))


clients = FeatureView(
    name="clients",
    entity="id",
    timestamp="loan_date",
    event_id="loan_id",
    contract=contract,
    transform=history,
    # age today where it is served, age on the day of the loan in training: one definition for both
    at_request={"age": YearsSince("birthday"), "years_on_the_job": YearsSince("job_start_date")},
    defaults={"nb_previous_loans": 0},
    request_columns=("flag_own_car", "birthday", "job_start_date"),
    max_age=timedelta(days=2),
    max_invalid_share=0.01,
)
