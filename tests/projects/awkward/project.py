"""Customers whose columns have names that Python cannot have, and of rarer kinds: who will leave."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from windlass import Candidate, Classes, Project, Row, column


class Customer(Row):
    """What is known of a customer."""

    total_charges: float = column("Sum of the bills", alias="Total Charges", unit="EUR", ge=0)
    class_: Literal["basic", "gold"] = column("Class of the contract", alias="class", strip=True)
    first: int = column("Orders of the first month", alias="1st")
    a_b: float | None = column("A dot", alias="a.b")
    height: float = column("Unicode", alias="größe")
    private: bool = column("An underscore first", alias="_private")
    rain: float = column("As probabilities are called", alias="probability_of_rain", ge=0, le=1)
    quoted: float = column("Quotes, a comma, a line end", alias='it\'s "so",\nno: {0}|[1]')
    city: str = column("A space at either end", alias=" city ")
    since: date = column("A dollar", alias="$since")
    vector: list[float] = column("Two numbers", alias="vector (2)", length=2, ge=-9, le=9)
    seen: datetime | None = column("Last visit", utc=True, ge=datetime(2000, 1, 1, tzinfo=UTC))


class Linear(Candidate, name="linear"):
    """Logistic regression on encoded columns."""

    def build(self, seed: int) -> Pipeline:
        """One pipeline from raw columns to classes."""
        numbers = [
            "vector (2)_0",
            "vector (2)_1",
            "Total Charges",
            "1st",
            "größe",
            "_private",
            "probability_of_rain",
            'it\'s "so",\nno: {0}|[1]',
        ]
        encoder = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["class", " city "]), ("passthrough", numbers)
        )
        return make_pipeline(encoder, LogisticRegression(random_state=seed))


def customers(rows: int = 120) -> pd.DataFrame:
    """Made-up customers."""
    random = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "Total Charges": random.normal(0, 1, rows).round(2) + 10,
            "class": random.choice(["basic", "gold"], rows),
            "1st": random.integers(0, 9, rows),
            "a.b": random.normal(0, 1, rows).round(2),
            "größe": random.normal(0, 1, rows).round(2),
            "_private": random.random(rows) < 0.5,
            "probability_of_rain": random.random(rows).round(2),
            'it\'s "so",\nno: {0}|[1]': random.normal(0, 1, rows).round(2),
            " city ": random.choice(["Ulm", "Köln"], rows),
            "vector (2)": random.normal(0, 1, (rows, 2)).round(2).tolist(),
            "seen": [
                datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=row * 86_400.25)
                for row in range(rows)
            ],
            "$since": [date(2020, 1, 1) + timedelta(days=int(day)) for day in range(rows)],
        }
    )
    return table.assign(**{"left?": (table["Total Charges"] > 10).map({True: "yes", False: "no"})})


project = Project(
    name="awkward",
    row=Customer,
    target=Classes("left?", ["no", "yes"]),
    data=customers,
    candidates=[Linear],
)
