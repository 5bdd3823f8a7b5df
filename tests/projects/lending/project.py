"""Late loans, from features of a client's history: small, quick to learn, and held up by files where a test says so."""

import os
import time
from pathlib import Path
from typing import Any

import narwhals as nw
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from windlass import (
    Candidate,
    Classes,
    FeatureView,
    Gate,
    GroupTimeSplit,
    Project,
    Row,
    YearsSince,
    column,
)

HERE = Path(__file__).parent


def contract() -> Any:
    """What a raw loan has to be."""
    import pandera.polars as pa
    import polars as pl

    return pa.DataFrameSchema(
        {
            "loan": pa.Column(pl.Int64, pa.Check.ge(0), unique=True),
            "client": pa.Column(pl.Int64, pa.Check.ge(0)),
            "day": pa.Column(pl.Date),
            "amount": pa.Column(pl.Float64, pa.Check.gt(0)),
            "birthday": pa.Column(pl.Date, nullable=True),
            "late": pa.Column(pl.Int64, pa.Check.isin([0, 1])),
        }
    )


def history(loans: Any) -> Any:
    """What is known of a client once each loan has been granted."""
    held("built")
    so_far = {"order_by": ["day", "loan"]}
    granted = nw.col("loan").cum_count().over("client", **so_far)
    amount_before = nw.col("amount").cum_sum().over("client", **so_far)
    return loans.select(
        "client",
        "day",
        "loan",
        "birthday",
        loans_before=granted,
        mean_before=amount_before / granted,
    )


def held(deed: str) -> None:
    """Say that a deed has begun and, where a test holds it up, wait until it is let go."""
    (HERE / deed).write_text(str(os.getpid()))
    while (HERE / f"hold-{deed}").exists():
        time.sleep(0.01)


class Client(Row):
    """What is known of a client who asks for a loan."""

    loans_before: int = column("Loans before this one", ge=0, example=2)
    mean_before: float | None = column("Their mean amount", default=None, ge=0, example=120.0)
    age: int | None = column("Completed years", unit="years", default=None, ge=0, example=40)


class Plain(Candidate, name="plain"):
    """Logistic regression."""

    def build(self, seed: int) -> Pipeline:
        """The estimator, once nothing holds it up."""
        held("trained")
        model = LogisticRegression(random_state=seed)
        return make_pipeline(SimpleImputer(), StandardScaler(), model)


project = Project(
    name="lending",
    row=Client,
    target=Classes("late", [0, 1]),
    view=FeatureView(
        name="clients",
        entity="client",
        timestamp="day",
        event_id="loan",
        contract=contract,
        transform=history,
        at_request={"age": YearsSince("birthday")},
        defaults={"loans_before": 0},
        request_columns=("birthday",),
    ),
    split=GroupTimeSplit("client", "day"),
    candidates=[Plain],
    gates=[Gate("roc_auc", at_least=0.6)],
    policy="manual",
    four_eyes=True,
)
