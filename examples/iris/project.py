"""Iris: which of three species a flower belongs to, from four measurements."""

import pandas as pd
from pydantic import Field
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from windlass import Candidate, Classes, Gate, Project, Row, column


class Flower(Row):
    """The four measurements of one iris flower."""

    sepal_length: float = column("Length of the sepal", unit="cm", ge=0.1, le=15, example=5.1)
    sepal_width: float = column("Width of the sepal", unit="cm", ge=0.1, le=15, example=3.5)
    petal_length: float = column("Length of the petal", unit="cm", ge=0.1, le=15, example=1.4)
    petal_width: float = column("Width of the petal", unit="cm", ge=0.1, le=15, example=0.2)


class LogReg(Candidate, name="logreg"):
    """Logistic regression on standardised measurements."""

    C: float = Field(1.0, gt=0, description="Inverse strength of the regularisation")

    def build(self, seed: int) -> Pipeline:
        model = LogisticRegression(C=self.C, max_iter=1000, random_state=seed)
        return make_pipeline(StandardScaler(), model)


class Forest(Candidate, name="rf"):
    """Random forest on standardised measurements."""

    n_estimators: int = Field(100, ge=1, le=2000, description="Number of trees")
    max_depth: int | None = Field(None, ge=1, description="Depth of each tree; no limit without it")

    def build(self, seed: int) -> Pipeline:
        model = RandomForestClassifier(
            self.n_estimators, max_depth=self.max_depth, random_state=seed
        )
        return make_pipeline(StandardScaler(), model)


def measurements() -> pd.DataFrame:
    """The 150 flowers that R. A. Fisher published in 1936, with their species."""
    iris = load_iris(as_frame=True)
    rows: pd.DataFrame = iris.data.set_axis(list(Flower.model_fields), axis="columns")
    return rows.assign(species=iris.target_names[iris.target])


project = Project(
    name="iris",
    row=Flower,
    target=Classes("species", ["setosa", "versicolor", "virginica"]),
    data=measurements,
    candidates=[LogReg, Forest],
    gates=[Gate("accuracy", at_least=0.9), Gate("macro_f1", at_least=0.9)],
    policy="automatic",
)
