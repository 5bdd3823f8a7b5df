"""Diabetes: quantiles of the progression of the disease after one year."""

from typing import Any

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import QuantileRegressor

from windlass import Candidate, Gate, NotWorse, Project, Quantiles, Row, column

LEVELS = (0.1, 0.5, 0.9)


class Patient(Row):
    """Three measurements, centred and scaled by the publishers."""

    bmi: float = column("Body mass index")
    bp: float = column("Mean blood pressure")
    s5: float | None = column("Logarithm of triglycerides")


class Boosting(Candidate, name="boosting"):
    """Gradient boosted trees, one ensemble for each quantile."""

    def build(self, seed: int) -> dict[float, Any]:
        """One estimator for each quantile."""
        return {
            level: HistGradientBoostingRegressor(
                loss="quantile", quantile=level, max_iter=20, random_state=seed
            )
            for level in LEVELS
        }


class Crossed(Candidate, name="crossed"):
    """Linear models in the wrong order, whose quantiles cross."""

    def build(self, seed: int) -> dict[float, Any]:
        """The estimator of a high quantile stands for a low one."""
        return {level: QuantileRegressor(quantile=1 - level, alpha=0.0) for level in LEVELS}


def patients() -> pd.DataFrame:
    """442 patients."""
    frame: pd.DataFrame = load_diabetes(as_frame=True).frame
    return frame.rename(columns={"target": "progression"})


project = Project(
    name="progression",
    row=Patient,
    target=Quantiles("progression", quantiles=LEVELS, unit="points"),
    data=patients,
    candidates=[Boosting, Crossed],
    gates=[
        Gate("pinball_loss", at_most=30),
        Gate("interval_coverage", at_least=0.5),
        NotWorse("pinball_loss"),
    ],
)
