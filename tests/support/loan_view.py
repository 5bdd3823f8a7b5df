"""A small feature view of loans, and loans to try it on: with ties, late jobs, sentinels of the year 3021 and nulls."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.core.feature_view import FeatureView
from windlass.core.on_demand import YearsSince

if TYPE_CHECKING:
    import polars as pl

FEATURES = (
    "nb_previous_loans",
    "avg_amount_loans_previous",
    "age",
    "years_on_the_job",
    "flag_own_car",
)
NO_JOB = date(3021, 9, 18)  # what the raw file writes for a client without a job
FIRST_DAY, DAYS = date(2019, 1, 1), 730


def contract() -> Any:
    """What a raw loan has to be."""
    import pandera.polars as pa
    import polars as pl

    return pa.DataFrameSchema(
        {
            "loan_id": pa.Column(pl.Int64, pa.Check.ge(0), unique=True),
            "id": pa.Column(pl.Int64, pa.Check.ge(0)),
            "code_gender": pa.Column(pl.String, pa.Check.isin(["F", "M"])),
            "flag_own_car": pa.Column(pl.String, pa.Check.isin(["Y", "N"]), nullable=True),
            "birthday": pa.Column(pl.Date, pa.Check.ge(date(1900, 1, 1))),
            "job_start_date": pa.Column(pl.Date, nullable=True),
            "loan_date": pa.Column(pl.Date, pa.Check.ge(date(2000, 1, 1))),
            "loan_amount": pa.Column(pl.Float64, pa.Check.gt(0)),
            "status": pa.Column(pl.Int64, pa.Check.isin([0, 1])),
            "days_birth": pa.Column(pl.Int64, required=False, nullable=True),
        }
    )


def loan_states(loans: Any) -> Any:
    """What is known of a client once each loan has been granted, that loan included."""
    import narwhals as nw

    so_far = {"order_by": ["loan_date", "loan_id"]}
    granted = nw.col("loan_id").cum_count().over("id", **so_far)
    return loans.select(
        "id",
        "loan_date",
        "loan_id",
        "birthday",
        "job_start_date",
        nb_previous_loans=granted,
        avg_amount_loans_previous=nw.col("loan_amount").cum_sum().over("id", **so_far) / granted,
        flag_own_car=nw.when(nw.col("flag_own_car") == "Y")
        .then(nw.lit(1))
        .when(nw.col("flag_own_car") == "N")
        .then(nw.lit(0)),
    )


VIEW = FeatureView(
    name="clients",
    entity="id",
    timestamp="loan_date",
    event_id="loan_id",
    contract=contract,
    transform=loan_states,
    at_request={"age": YearsSince("birthday"), "years_on_the_job": YearsSince("job_start_date")},
    defaults={"nb_previous_loans": 0},
    request_columns=("flag_own_car", "birthday", "job_start_date"),
    ttl=timedelta(days=3650),
    max_age=timedelta(days=7),
)
PROJECT_VIEW = VIEW.record(FEATURES)


def make_loans(n_clients: int, seed: int) -> "pl.DataFrame":
    """Some five loans for each of `n_clients` clients (ids from 100), every row good, in no order.

    Amounts are multiples of a quarter, so that sums of them are exact in any order.
    """
    import polars as pl

    random = np.random.default_rng(seed)
    clients = np.repeat(np.arange(n_clients), random.integers(1, 10, n_clients))
    n = len(clients)
    born = random.integers(-7000, 11000, n_clients)[clients]
    job = random.integers(14000, 18700, n_clients)
    no_job = random.random(n_clients) < 0.15
    job = np.where(no_job, (NO_JOB - date(1970, 1, 1)).days, job)[clients]
    car = np.array(["Y", "N", None], object)[random.integers(0, 3, n_clients)][clients]
    days = (FIRST_DAY - date(1970, 1, 1)).days + random.integers(0, DAYS, n)
    same = random.random(n) < 0.1  # on the day of another loan
    days[same] = days[np.flatnonzero(same) - 1]
    frame = pl.DataFrame(
        {
            "loan_id": random.permutation(n) + 1000,
            "id": clients + 100,
            "code_gender": random.choice(["F", "M"], n_clients)[clients].tolist(),
            "flag_own_car": car.tolist(),
            "birthday": pl.Series(born, dtype=pl.Int32).cast(pl.Date),
            "job_start_date": pl.Series(job, dtype=pl.Int32).cast(pl.Date),
            "loan_date": pl.Series(days, dtype=pl.Int32).cast(pl.Date),
            "loan_amount": random.integers(400, 3000, n) / 4,
            "status": (random.random(n) < 0.1).astype(np.int64),
        }
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)
