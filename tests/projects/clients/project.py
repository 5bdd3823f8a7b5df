"""Clients who ask for a loan: a row that has exactly the features of the view in tests/support/loan_view.py."""

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from windlass import Candidate, Classes, Project, Row, column


class Client(Row):
    """What is known of a client on the day they ask."""

    nb_previous_loans: int = column("Loans granted before", ge=0, example=3)
    avg_amount_loans_previous: float | None = column("Their average amount", ge=0, example=119.5)
    age: int | None = column("Completed years", unit="years", ge=18, le=130, example=34)
    years_on_the_job: int | None = column("Completed years at work", unit="years", ge=0, example=5)
    flag_own_car: int | None = column("1: owns a car", ge=0, le=1, example=1)


class Logistic(Candidate, name="logistic"):
    """Logistic regression, with medians for what is missing."""

    def build(self, seed: int) -> Pipeline:
        """Imputed, standardised, fitted."""
        return make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegression(random_state=seed),
        )


def clients() -> pd.DataFrame:
    """400 clients whose risk falls with age and rises with their loans; a fifth of the cells is missing."""
    random = np.random.default_rng(5)
    n = 400
    loans, age = random.integers(0, 20, n), random.integers(18, 80, n)
    late = random.random(n) < 1 / (1 + np.exp(-(loans / 4 - age / 20)))
    frame = pd.DataFrame(
        {
            "nb_previous_loans": loans,
            "avg_amount_loans_previous": random.integers(400, 3000, n) / 4,
            "age": age,
            "years_on_the_job": random.integers(0, 30, n),
            "flag_own_car": random.integers(0, 2, n),
        }
    ).astype(float)
    nullable = list(Client.model_fields)[1:]
    frame[nullable] = frame[nullable].mask(random.random((n, len(nullable))) < 0.2)
    return frame.assign(status=np.where(late, "late", "paid"))


project = Project(
    name="clients",
    row=Client,
    target=Classes("status", ["paid", "late"]),
    data=clients,
    candidates=[Logistic],
)
