"""Diabetes: progression of the disease after one year, a regression."""

import pandas as pd
from pydantic import Field
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge

from windlass import Candidate, Gate, Project, Quantity, Row, column

_COLUMNS = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


class Patient(Row):
    """Ten measurements, centred and scaled by the publishers."""

    age: float = column("Age")
    sex: float = column("Sex")
    bmi: float = column("Body mass index")
    bp: float = column("Mean blood pressure")
    s1: float = column("Total serum cholesterol")
    s2: float = column("Low-density lipoproteins")
    s3: float = column("High-density lipoproteins")
    s4: float = column("Cholesterol over HDL")
    s5: float = column("Logarithm of triglycerides")
    s6: float = column("Blood sugar")


class Linear(Candidate, name="ridge"):
    """Ridge regression."""

    alpha: float = Field(0.1, gt=0, description="Strength of the regularisation")

    def build(self, seed: int) -> Ridge:
        """The estimator itself is enough: the columns come scaled."""
        return Ridge(alpha=self.alpha, random_state=seed)


class Boosting(Candidate, name="boosting"):
    """Gradient boosted trees."""

    n_estimators: int = Field(50, ge=1, description="Number of trees")

    def build(self, seed: int) -> GradientBoostingRegressor:
        """Trees need no scaling."""
        return GradientBoostingRegressor(n_estimators=self.n_estimators, random_state=seed)


def patients() -> pd.DataFrame:
    """442 patients."""
    frame: pd.DataFrame = load_diabetes(as_frame=True).frame
    return frame.rename(columns={"target": "progression"})


project = Project(
    name="diabetes",
    row=Patient,
    target=Quantity("progression", unit="points"),
    data=patients,
    candidates=[Linear, Boosting],
    gates=[Gate("mae", at_most=60), Gate("r2", at_least=0.3)],
)
