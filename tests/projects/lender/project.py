"""Loans of the small feature view of the tests, split by client and day, with costs and slices."""

import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.support.loan_view import VIEW

from windlass import (
    Candidate,
    Classes,
    CostMatrix,
    GroupTimeSplit,
    NotWorse,
    Project,
    Row,
    column,
)


class Client(Row):
    """What is known of a client on the day they ask."""

    nb_previous_loans: int = column("Loans granted before", ge=0)
    avg_amount_loans_previous: float | None = column("Their average amount", ge=0)
    age: int | None = column("Completed years", unit="years", ge=0)
    years_on_the_job: int | None = column("Completed years at work", unit="years", ge=0)
    flag_own_car: int | None = column("1: owns a car", ge=0, le=1)


class Logistic(Candidate, name="logistic"):
    """Logistic regression, with medians for what is missing."""

    C: float = 1.0

    def build(self, seed: int) -> Pipeline:
        """Imputed, standardised, fitted."""
        model = LogisticRegression(C=self.C, random_state=seed)
        return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)


def labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """Every loan, with its client as text."""
    return rows.with_columns(client=pl.col("id").cast(pl.String))


project = Project(
    name="lender",
    row=Client,
    target=Classes("status", [0, 1]),
    view=VIEW,
    data=labelled,
    split=GroupTimeSplit("client", "loan_date"),
    slices=["code_gender"],
    costs=CostMatrix(false_negative=10, false_positive=1, precision=0.2),
    candidates=[Logistic],
    gates=[NotWorse("average_precision")],
)
