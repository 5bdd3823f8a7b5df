"""Visits of patients: the least that a feature view can declare. Tests change a line of it."""

from typing import Any

import narwhals as nw
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from windlass import Candidate, Classes, FeatureView, Project, Row, column


def contract() -> Any:
    """What a raw visit has to be."""
    import pandera.polars as pa
    import polars as pl

    return pa.DataFrameSchema(
        {
            "patient": pa.Column(pl.Int64),
            "day": pa.Column(pl.Date),
            "visit": pa.Column(pl.Int64),
            "born": pa.Column(pl.Date, nullable=True, required=False),
            "ill": pa.Column(pl.Int64),
        }
    )


def count_visits(visits: Any) -> Any:
    """The visits of a patient up to each of them."""
    visit = nw.col("visit").cum_count().over("patient", order_by=["day", "visit"])
    return visits.select("patient", "day", "visit", visits_before=visit)


def keep_birthday(visits: Any) -> Any:
    """Each visit, and what it says of the patient."""
    return visits.select("patient", "day", "visit", "born")


class Patient(Row):
    """What is known of a patient."""

    visits_before: int | None = column("Visits before this one", ge=0, example=2)


class Plain(Candidate, name="plain"):
    """Logistic regression."""

    def build(self, seed: int) -> Pipeline:
        """Imputed, fitted."""
        return make_pipeline(SimpleImputer(), LogisticRegression(random_state=seed))


project = Project(
    name="visits",
    row=Patient,
    target=Classes("ill", [0, 1]),
    view=FeatureView(
        name="patients",
        entity="patient",
        timestamp="day",
        event_id="visit",
        contract=contract,
        transform=count_visits,
    ),
    candidates=[Plain],
)
