"""Breast cancer: malignant or benign, a binary classification declared from a data set's own names."""

from typing import Any

import pandas as pd
from pydantic import Field, create_model
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from windlass import Candidate, Classes, Gate, Project, Row, column

_NAMES = [str(name).replace(" ", "_") for name in load_breast_cancer().feature_names]
_FIELDS: dict[str, Any] = {name: (float, column(name.replace("_", " "), ge=0)) for name in _NAMES}

Tumour = create_model("Tumour", __base__=Row, __module__=__name__, **_FIELDS)


class LogReg(Candidate, name="logreg"):
    """Logistic regression on standardised measurements."""

    C: float = Field(1.0, gt=0, description="Inverse strength of the regularisation")

    def build(self, seed: int) -> Pipeline:
        """Scaler and model in one pipeline."""
        return make_pipeline(StandardScaler(), LogisticRegression(C=self.C, random_state=seed))


def tumours() -> pd.DataFrame:
    """569 tumours; `malignant` is the second class, the one to find."""
    data = load_breast_cancer(as_frame=True)
    rows: pd.DataFrame = data.data.set_axis(_NAMES, axis="columns")
    return rows.assign(diagnosis=data.target.map({0: "malignant", 1: "benign"}))


project = Project(
    name="cancer",
    row=Tumour,
    target=Classes("diagnosis", ["benign", "malignant"]),
    data=tumours,
    candidates=[LogReg],
    gates=[Gate("recall_malignant", at_least=0.9)],
)
