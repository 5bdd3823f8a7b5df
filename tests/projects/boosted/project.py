"""Visits of a shop, with text, gaps and text labels: what the three boosters take without an encoder."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from pydantic import Field
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from windlass import Candidate, Classes, Project, Row, column


class Visit(Row):
    """What is known of a visit."""

    spent: float | None = column("Money spent", unit="EUR", ge=0, le=10_000)
    minutes: int = column("Time in the shop", unit="min", ge=0, le=600)
    day: Literal["Mon", "Sat", "Sun"] | None = column("Day of the week")
    city: str | None = column("City, an open set")


class Xgb(Candidate, name="xgboost"):
    """XGBoost, which stops early."""

    rounds: int | None = Field(5, ge=1, description="Rounds without a gain before it stops")

    def build(self, seed: int) -> Any:
        """The booster alone."""
        return XGBClassifier(
            n_estimators=30, early_stopping_rounds=self.rounds, random_state=seed, subsample=0.8
        )


class Lgbm(Candidate, name="lightgbm"):
    """LightGBM at the end of a pipeline, which stops early."""

    def build(self, seed: int) -> Any:
        """A pipeline whose first step changes nothing."""
        booster = LGBMClassifier(
            n_estimators=30, early_stopping_round=5, random_state=seed, min_child_samples=5
        )
        return make_pipeline(FunctionTransformer(), booster)


class Cat(Candidate, name="catboost"):
    """CatBoost, with its own statistics of categories."""

    def build(self, seed: int) -> Any:
        """The booster alone."""
        return CatBoostClassifier(iterations=20, depth=4, random_seed=seed)


def visits(rows: int = 300) -> pd.DataFrame:
    """Made-up visits; about one cell in ten of the columns that allow it is missing."""
    draw = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "spent": draw.lognormal(3, 1, rows).round(2).clip(0, 9_000),
            "minutes": draw.integers(1, 200, rows),
            "day": draw.choice(["Mon", "Sat", "Sun"], rows),
            "city": draw.choice(["Köln", "Ulm", "東京", "Bern"], rows),
        }
    )
    score = table.spent / 30 + (table.day == "Sat") + draw.normal(0, 0.4, rows)
    table["outcome"] = np.where(
        score > 1.9, "loyal", np.where(table.minutes > 120, "guest", "gone")
    )
    for name in ("spent", "day", "city"):
        table[name] = table[name].astype(object).where(draw.random(rows) > 0.1, None)
    return table


project = Project(
    name="boosted",
    row=Visit,
    target=Classes("outcome", ["gone", "guest", "loyal"]),
    data=visits,
    candidates=[Xgb, Lgbm, Cat],
    validation=0.2,
)
