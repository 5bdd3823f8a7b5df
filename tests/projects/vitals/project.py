"""Vital signs: two yes-or-no findings of one model that classifies both."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from windlass import Candidate, Classes, Gate, Outputs, Project, Row, column


class Signs(Row):
    """Measurements of a patient."""

    pulse: float = column("Heart rate", unit="1/min", ge=0)
    pressure: float = column("Systolic blood pressure", unit="mmHg", ge=0)


class Forest(Candidate, name="forest"):
    """One forest for both findings."""

    def build(self, seed: int) -> Any:
        """Its leaves hold the shares of both findings."""
        return RandomForestClassifier(10, random_state=seed)


class Wrapped(Candidate, name="wrapped"):
    """A logistic regression for each finding."""

    def build(self, seed: int) -> Any:
        """scikit-learn fits a copy for each output."""
        return MultiOutputClassifier(LogisticRegression())


def patients(rows: int = 200) -> pd.DataFrame:
    """Made-up patients."""
    random = np.random.default_rng(11)
    pulse, pressure = random.normal(80, 20, rows), random.normal(125, 20, rows)
    return pd.DataFrame(
        {
            "pulse": pulse.clip(30),
            "pressure": pressure.clip(60),
            "fast": np.where(pulse + random.normal(0, 5, rows) > 90, "yes", "no"),
            "high": pressure + random.normal(0, 5, rows) > 140,
        }
    )


project = Project(
    name="vitals",
    row=Signs,
    target=Outputs([Classes("fast", ["yes", "no"]), Classes("high", [False, True])]),
    data=patients,
    candidates=[Forest, Wrapped],
    gates=[Gate("mean_roc_auc", at_least=0.8), Gate("exact_match", at_least=0.6)],
)
