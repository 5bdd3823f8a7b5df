"""Loan: whether an application is approved, from seven columns about the applicant and the loan."""

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from windlass import Candidate, Classes, Gate, NotWorse, Project, Row, column

ROWS = 4000
MISSING = {
    "Age": 0.05,
    "Annual_Income": 0.03,
    "Credit_Score": 0.04,
    "Loan_Amount": 0.02,
    "Number_of_Open_Accounts": 0.01,
}  # shares of the original file


class Application(Row):
    """Application for a loan. Five columns may be missing: null, or omitted."""

    Age: float | None = column(
        "Age of the applicant", unit="years", default=None, ge=18, le=110, example=41
    )
    Annual_Income: float | None = column(
        "Income before tax", unit="per year", default=None, ge=0, le=1e8, example=72000
    )
    Credit_Score: float | None = column(
        "Score of the credit bureau", default=None, ge=300, le=850, example=640
    )
    Loan_Amount: float | None = column(
        "Amount applied for", default=None, gt=0, le=1e8, example=18000
    )
    Loan_Duration_Years: int = column("Term of the loan", unit="years", ge=1, le=50, example=10)
    Number_of_Open_Accounts: float | None = column(
        "Credit accounts open now", default=None, ge=0, le=200, example=5
    )
    Had_Past_Default: int = column("1: defaulted before; 0: did not", ge=0, le=1, example=0)


class Boosting(Candidate, name="boosting"):
    """Calibrated gradient boosting; it handles missing values itself."""

    learning_rate: float = Field(0.05, gt=0, le=1, description="Weight of each tree")
    max_iter: int = Field(150, ge=1, le=2000, description="Number of trees")
    max_leaf_nodes: int = Field(4, ge=2, le=256, description="Leaves of each tree")
    min_samples_leaf: int = Field(20, ge=1, description="Rows that a leaf needs")

    def build(self, seed: int) -> CalibratedClassifierCV:
        trees = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            early_stopping=False,
            random_state=seed,
        )
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        return CalibratedClassifierCV(trees, method="sigmoid", cv=folds, ensemble=False)


class Baseline(Candidate, name="baseline"):
    """The original model, corrected: mean imputation, scaling, logistic regression."""

    C: float = Field(1.0, gt=0, description="Inverse strength of the regularisation")

    def build(self, seed: int) -> Pipeline:
        model = LogisticRegression(C=self.C, max_iter=1000, random_state=seed)
        return make_pipeline(SimpleImputer(strategy="mean"), StandardScaler(), model)


def applications(file: Path | None = None) -> pd.DataFrame:
    """Returns the applications of a CSV file in the original format; without a file, 4,000 generated ones."""
    if file is not None:  # its unnamed index column is not declared, and so ignored
        return pd.read_csv(file)
    return generate_applications(ROWS, seed=20)


def generate_applications(count: int, seed: int) -> pd.DataFrame:
    """Generates applications with the ranges and missing shares of the original file, and a signal.

    The approval depends on the yearly rate relative to the income, the credit score, a past default (more so
    with a low score), few or many accounts, a term that ends after the age of 75, and chance.
    """
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "Age": random.integers(18, 70, count),
            "Annual_Income": random.integers(30_000, 200_001, count),
            "Credit_Score": random.integers(300, 851, count),
            "Loan_Amount": random.integers(5_000, 50_001, count),
            "Loan_Duration_Years": random.integers(1, 30, count),
            "Number_of_Open_Accounts": random.integers(1, 15, count),
            "Had_Past_Default": random.integers(0, 2, count),
        }
    )
    chance = 1 / (1 + np.exp(-_log_odds(rows)))
    approved = (random.random(count) < chance).astype(int)
    for name, share in MISSING.items():
        rows[name] = rows[name].astype(float).mask(random.random(count) < share)
    return rows.assign(Loan_Approval=approved)


def _log_odds(rows: pd.DataFrame) -> pd.Series:
    score = (rows["Credit_Score"] - 575) / 150
    years = rows["Loan_Duration_Years"]
    rate = rows["Loan_Amount"] / years + 0.06 * rows["Loan_Amount"]
    burden = rate / rows["Annual_Income"]
    odds: pd.Series = (
        1.8
        + 1.5 * np.tanh(1.5 * score)
        - 5.0 * np.minimum(burden, 0.5)
        - 1.6 * rows["Had_Past_Default"] * (score < 0.5)
        - 1.5 * (rows["Number_of_Open_Accounts"] > 11)
        - 1.0 * (rows["Number_of_Open_Accounts"] < 3)
        - 2.0 * (rows["Age"] + years > 75)
    )
    return odds


project = Project(
    name="loan",
    description="Which loan applications are approved.",
    row=Application,
    target=Classes("Loan_Approval", [0, 1]),
    data=applications,
    candidates=[Boosting, Baseline],
    gates=[
        Gate("roc_auc", at_least=0.75),
        Gate("brier", at_most=0.2),
        NotWorse("roc_auc"),
        NotWorse("log_loss"),
    ],
    policy="automatic",
)
