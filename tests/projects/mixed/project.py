"""Loans with every kind of column, most of them sometimes missing: which will be repaid late."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from windlass import Candidate, Classes, Gate, Project, Row, column


class Housing(StrEnum):
    """How a borrower lives."""

    OWN = "own"
    RENT = "rent"


class Loan(Row):
    """What is known of a loan on the day of the request."""

    income: float | None = column("Yearly income", unit="EUR/year", ge=0)
    age: int = column("Age", ge=18, le=120)
    children: int | None = column("Number of children", ge=0, le=20)
    employed: bool | None = column("Whether the borrower has work")
    grade: Literal["A", "B", "C"] | None = column("Grade of the bureau")
    housing: Housing = column("How the borrower lives", default=Housing.RENT)
    city: str | None = column("City, an open set")
    opened: date | None = column("Day of the first account", ge=date(1950, 1, 1))


class Linear(Candidate, name="linear"):
    """Logistic regression on imputed, scaled and encoded columns."""

    C: float = Field(1.0, gt=0, description="Inverse strength of the regularisation")
    strategy: Literal["mean", "median"] = Field("median", description="Fills missing numbers")
    balanced: bool = Field(False, description="Weigh classes equally")

    def build(self, seed: int) -> Pipeline:
        """One pipeline from raw columns to classes."""
        numbers = ["income", "age", "children", "employed", "opened"]
        encoder = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy=self.strategy), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), ["grade", "housing", "city"]),
        )
        weight = "balanced" if self.balanced else None
        return make_pipeline(
            encoder, LogisticRegression(C=self.C, class_weight=weight, random_state=seed)
        )


def loans(rows: int = 200) -> pd.DataFrame:
    """Made-up loans; about one cell in eight of the columns that allow it is missing."""
    random = np.random.default_rng(7)
    days = random.integers(0, 18_000, rows).tolist()
    table: dict[str, Any] = {
        "income": random.lognormal(10, 0.5, rows).round(2).tolist(),
        "age": random.integers(18, 80, rows).tolist(),
        "children": random.integers(0, 5, rows).tolist(),
        "employed": (random.random(rows) < 0.7).tolist(),
        "grade": random.choice(["A", "B", "C"], rows).tolist(),
        "housing": random.choice(["own", "rent"], rows).tolist(),
        "city": random.choice(["Ulm", "Köln", "Brno", "東京"], rows).tolist(),
        "opened": [date(1970, 1, 1) + timedelta(days=day) for day in days],
    }
    risk = np.array([{"A": -1.5, "B": 0.0, "C": 1.5}[grade] for grade in table["grade"]])
    late = risk + random.normal(0, 0.7, rows) > 0
    for name in ("income", "children", "employed", "grade", "city", "opened"):
        holes = random.random(rows) < 0.12
        table[name] = [
            None if hole else value for hole, value in zip(holes, table[name], strict=True)
        ]
    return pd.DataFrame(
        {name: pd.Series(values, dtype=object) for name, values in table.items()}
    ).assign(late=late)


project = Project(
    name="mixed",
    row=Loan,
    target=Classes("late", [False, True]),
    data=loans,
    candidates=[Linear],
    gates=[Gate("roc_auc", at_least=0.7), Gate("accuracy", at_least=0.999)],
)
