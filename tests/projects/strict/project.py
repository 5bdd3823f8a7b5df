"""Insurance claims: pipelines that reject what they were not trained on, each for its own reasons."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from windlass import Candidate, Classes, Project, Row, column

CATEGORIES = ["region", "kind"]


class Claim(Row):
    """What is known of a claim."""

    amount: float = column("Amount", unit="EUR", ge=0, example=900.0)
    age: float | None = column("Age of the driver; -1 where it is not said", unit="years")
    region: str = column("Region, an open set")
    kind: Literal["fire", "theft", "flood"] = column("Kind; the training data has no flood")


class Linear(Candidate, name="linear"):
    """Logistic regression: it rejects NaN, the logarithm of zero and unknown categories."""

    def build(self, seed: int) -> Pipeline:
        """Every step as scikit-learn has it by default."""
        encoder = make_column_transformer(
            (FunctionTransformer(np.log), ["amount"]),
            (make_pipeline(SimpleImputer(missing_values=-1), StandardScaler()), ["age"]),
            (OneHotEncoder(), CATEGORIES),
        )
        return make_pipeline(encoder, LogisticRegression(random_state=seed))


class Boosting(Candidate, name="boosting"):
    """Gradient boosting: it rejects NaN, unknown categories and what float32 does not hold."""

    def build(self, seed: int) -> Pipeline:
        """Codes instead of categories."""
        encoder = make_column_transformer((OrdinalEncoder(), CATEGORIES), remainder="passthrough")
        return make_pipeline(encoder, GradientBoostingClassifier(n_estimators=5, random_state=seed))


class Roots(Candidate, name="roots"):
    """The linear model with a step that has no ONNX form, so that the bundle serves natively."""

    def build(self, seed: int) -> Pipeline:
        """Cube roots before the linear model."""
        encoder = make_column_transformer(
            (FunctionTransformer(np.cbrt), ["age"]),
            (FunctionTransformer(np.log), ["amount"]),
            (OneHotEncoder(), CATEGORIES),
        )
        return make_pipeline(encoder, LogisticRegression(random_state=seed))


def claims() -> pd.DataFrame:
    """Two hundred made-up claims without a missing value."""
    random, rows = np.random.default_rng(3), 200
    table: dict[str, Any] = {
        "amount": random.lognormal(7, 1, rows).round(2),
        "age": random.integers(18, 80, rows).astype(float),
        "region": random.choice(["north", "south", "Zürich"], rows),
        "kind": random.choice(["fire", "theft"], rows),
    }
    score = np.log(table["amount"]) + (table["kind"] == "theft") + random.normal(0, 1, rows)
    return pd.DataFrame(table).assign(fraud=score > np.median(score))


project = Project(
    name="strict",
    row=Claim,
    target=Classes("fraud", [False, True]),
    data=claims,
    candidates=[Linear, Boosting, Roots],
)
