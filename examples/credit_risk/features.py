"""The five features of a client, computed from their loans; each is defined once, for training and serving."""

from datetime import timedelta
from typing import Any

import narwhals as nw
from contract import contract

from windlass import FeatureView, YearsSince

MILLIONTH = 1_000_000


def client_features(loans: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Computes the stored features of a client as they are after each of their loans."""
    granted = _so_far(nw.col("loan_id").cum_count())
    # sums of integers are equal in any order and on any engine, sums of floats are not; and engines round halves
    # differently, but agree on the floor
    millionths = (nw.col("loan_amount") * MILLIONTH + 0.5).floor().cast(nw.Int64)
    total = _so_far(millionths.cum_sum())
    car = nw.col("flag_own_car")
    return loans.select(
        "id",
        "loan_date",
        "loan_id",
        "birthday",
        "job_start_date",
        nb_previous_loans=granted,
        # divided once: two divisions round twice, and engines combine them differently
        avg_amount_loans_previous=total.cast(nw.Float64) / (granted * MILLIONTH),
        flag_own_car=nw.when(car == "Y").then(1).when(car == "N").then(0).otherwise(None),
    )


def _so_far(running: nw.Expr) -> nw.Expr:
    """Computes a running count or sum over the client's loans up to this one, ordered by day and ID."""
    return running.over("id", order_by=("loan_date", "loan_id"))


clients = FeatureView(
    name="clients",
    entity="id",
    timestamp="loan_date",
    event_id="loan_id",
    contract=contract,
    transform=client_features,
    # one definition for both: the age today in serving, and the age on the day of the loan in training
    at_request={"age": YearsSince("birthday"), "years_on_the_job": YearsSince("job_start_date")},
    defaults={"nb_previous_loans": 0},
    request_columns=("flag_own_car", "birthday", "job_start_date"),
    max_age=timedelta(days=2),
    max_invalid_share=0.01,
    serves="latest",  # the features of a client are those of their most recent loan, and leave that loan out
)
