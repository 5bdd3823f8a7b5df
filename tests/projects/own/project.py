"""Iris through steps of the project's own: a class here, and a function in a file beside it."""

from typing import Any

import pandas as pd
from roots import cube_roots
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from windlass import Candidate, Classes, Gate, Project, Row, column


class Petal(Row):
    """Two measurements of one iris flower."""

    length: float = column("Length of the petal", unit="cm", ge=0.1, le=15, example=1.4)
    width: float = column("Width of the petal", unit="cm", ge=0.1, le=15, example=0.2)


class Area(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Adds the product of the two measurements."""

    def fit(self, rows: Any, labels: Any = None) -> "Area":
        """Learn nothing."""
        return self

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Add the column."""
        return rows.assign(area=rows["length"] * rows["width"])


class Own(Candidate, name="own"):
    """Logistic regression on petals, their area, and cube roots of all."""

    def build(self, seed: int) -> Pipeline:
        """Steps that no other process can import."""
        model = LogisticRegression(max_iter=1000, random_state=seed)
        return make_pipeline(Area(), FunctionTransformer(cube_roots), model)


def petals() -> pd.DataFrame:
    """The 150 flowers."""
    iris = load_iris(as_frame=True)
    rows: pd.DataFrame = iris.data.iloc[:, 2:].set_axis(list(Petal.model_fields), axis="columns")
    return rows.assign(species=iris.target_names[iris.target])


project = Project(
    name="own",
    row=Petal,
    target=Classes("species", ["setosa", "versicolor", "virginica"]),
    data=petals,
    candidates=[Own],
    gates=[Gate("accuracy", at_least=0.9)],
)
