"""Credit risk: the probability that a client pays a loan late, from five features of their history."""

import polars as pl
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from pydantic import Field
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold

from features import clients
from windlass import (
    Candidate,
    Classes,
    CostMatrix,
    Gate,
    GroupTimeSplit,
    NotWorse,
    Project,
    Row,
    column,
)

MAX_YEARS = 150  # from the earliest date that the contract allows
# a late payment costs interest, collection and sometimes the loan; a refused application costs the goodwill of a client
COSTS = CostMatrix(false_negative=30, false_positive=1, precision=0.05)


class Client(Row):
    """Features of a client on the day of a loan application."""

    nb_previous_loans: int = column("Loans granted to the client before this one", ge=0, example=3)
    avg_amount_loans_previous: float | None = column(
        "Their average amount; missing for the first loan", default=None, ge=0, example=119.44
    )
    age: int | None = column(
        "Completed years", unit="years", default=None, ge=0, le=MAX_YEARS, example=34
    )
    years_on_the_job: int | None = column(
        "Completed years with the employer; missing without an employer",
        unit="years",
        default=None,
        ge=0,
        le=MAX_YEARS,
        example=5,
    )
    flag_own_car: int | None = column(
        "1: owns a car; 0: does not; missing if unknown", default=None, ge=0, le=1, example=1
    )


class Boosting(Candidate, name="boosting"):
    """Calibrated gradient boosting with class weights; it handles missing values itself."""

    learning_rate: float = Field(0.05, gt=0, le=1, description="Weight of each tree")
    max_iter: int = Field(100, ge=1, le=2000, description="Number of trees")
    max_leaf_nodes: int = Field(8, ge=2, le=256, description="Leaves of each tree")
    min_samples_leaf: int = Field(200, ge=1, description="Rows that a leaf needs")

    def build(self, seed: int) -> FixedThresholdClassifier:
        trees = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            class_weight="balanced",
            early_stopping=False,
            random_state=seed,
        )
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        # class weights make all probabilities too high; calibration corrects them
        calibrated = CalibratedClassifierCV(trees, method="sigmoid", cv=folds, ensemble=False)
        return FixedThresholdClassifier(
            calibrated, threshold=COSTS.threshold, response_method="predict_proba"
        )


class ForestSmote(Candidate, name="forest_smote"):
    """The notebook's model, for comparison: nulls become 0, SMOTE generates late loans, five trees."""

    n_estimators: int = Field(5, ge=1, le=500, description="Number of trees")

    def build(self, seed: int) -> Pipeline:
        return Pipeline(
            [
                ("nulls", SimpleImputer(strategy="constant", fill_value=0.0)),
                ("smote", SMOTE(random_state=seed)),  # resamples the training rows only
                ("forest", RandomForestClassifier(self.n_estimators, random_state=seed)),
            ]
        )


def labelled(loans: pl.DataFrame) -> pl.DataFrame:
    """Adds the extra columns `person` (for the split) and `age_band` (for fairness) to every loan."""
    return loans.with_columns(person=_person(), age_band=_age_band())


def _person() -> pl.Expr:
    """Returns the same text for all IDs of one person: same sex, birthday and first day at work.

    The real file has 36,457 IDs of 9,502 such persons. An ID keeps the person of its first loan.
    """
    same = pl.concat_str(
        "code_gender", "birthday", "job_start_date", separator=" ", ignore_nulls=True
    )
    return same.first().over("id")


def _age_band() -> pl.Expr:
    """Returns the age in bands of ten years; the first and the last band are open."""
    age = pl.col("age")
    decade = age // 10 * 10
    return (
        pl.when(age < 30)
        .then(pl.lit("29 and under"))
        .when(age >= 60)
        .then(pl.lit("60 and over"))
        .otherwise(pl.format("{}-{}", decade, decade + 9))
    )


project = Project(
    name="credit_risk",
    description="The probability that a client pays a loan late.",
    row=Client,
    target=Classes("status", [0, 1]),
    view=clients,
    data=labelled,
    split=GroupTimeSplit("person", "loan_date"),
    slices=["code_gender", "age_band"],
    costs=COSTS,
    candidates=[Boosting, ForestSmote],
    gates=[
        Gate("roc_auc", at_least=0.65),
        Gate("average_precision", at_least=0.025),
        Gate("brier", at_most=0.02),
        NotWorse("average_precision"),
    ],
    policy="manual",
    four_eyes=True,
)
