"""Every estimator of scikit-learn, and the boosters, as candidates of small projects on data with missing values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from windlass import Candidate, Classes, Project, Quantity, Row, column

ROWS = 240
NUMBERS = ("age", "income", "visits", "share")
TASKS = ("binary", "three classes", "regression")
KINDS = ("classifier", "regressor", "transformer")
CITIES = ("Bern", "Köln", "Ulm")
WORDS = ("late", "paid", "order", "Return", "new", "bill", "again", "OPEN", "2nd")
SMALL: dict[str, Any] = {
    "cv": 3, "max_iter": 200, "max_subpopulation": 20, "n_clusters": 3, "n_components": 2,
    "n_estimators": 8, "n_features": 64, "n_init": 1, "n_quantiles": 20, "n_resampling": 3, "random_state": 0,
}  # fmt: skip
VECTORIZERS = ("CountVectorizer", "TfidfVectorizer")  # transformers without the mixin
TEXT = ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")
ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
IMPUTERS = ("IterativeImputer", "KNNImputer", "MissingIndicator", "SimpleImputer")
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
BOOSTERS = (
    "CatBoostClassifier", "CatBoostRegressor", "LGBMClassifier", "LGBMRegressor", "XGBClassifier",
    "XGBRFClassifier", "XGBRFRegressor", "XGBRegressor",
)  # fmt: skip


class Visitor(Row):
    """A visitor of a shop."""

    age: float | None = column("Age", unit="years", ge=0, le=120)
    income: float | None = column("Income", unit="EUR", ge=0, le=1_000_000)
    visits: int | None = column("Visits", ge=0, le=1000)
    share: float | None = column("Share of orders that were returned", ge=0, le=1)
    city: Literal["Bern", "Köln", "Ulm"] = column("City")
    note: str = column("What the visitor wrote")


@dataclass(frozen=True)
class Case:
    """An estimator on the data of one task: `pipeline` holds it as its last step, or as a step named `tried`."""

    estimator: str
    kind: str
    task: str
    pipeline: Any = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the estimator; of one that is a transformer too, with its kind."""
        return f"{self.estimator} ({self.kind})" if self.estimator in _TWICE else self.estimator


def estimators() -> dict[str, list[tuple[str, Any]]]:
    """Return names and classes by kind: all of scikit-learn's, and the boosters."""
    result = {kind: list(all_estimators(type_filter=kind)) for kind in KINDS}
    everything = dict(all_estimators())
    result["transformer"] += [(name, everything[name]) for name in VECTORIZERS]
    for name in BOOSTERS:
        kind = "classifier" if name.endswith("Classifier") else "regressor"
        result[kind].append((name, booster_class(name)))
    return result


def booster_class(name: str) -> Any:
    """Return the class of a booster by its name."""
    import catboost
    import lightgbm
    import xgboost

    libraries = {"Cat": catboost, "LGB": lightgbm, "XGB": xgboost}
    return getattr(libraries[name[:3]], name)


_TWICE = frozenset(
    name
    for name, _ in all_estimators(type_filter="transformer")
    if name in dict(all_estimators(type_filter=["classifier", "regressor"]))
)


def cases(names: frozenset[str] | None = None) -> Iterator[Case]:
    """Yield every estimator, or those named, on every task that fits its kind."""
    for kind, members in estimators().items():
        for name, cls in members:
            if names is not None and name not in names:
                continue
            for task in TASKS:
                if kind == "transformer" or (kind == "regressor") == (task == "regression"):
                    yield Case(name, kind, task, _pipeline(kind, name, cls, task))


def table(task: str, seed: int = 0) -> pd.DataFrame:
    """Return rows of the task with its target `y`; one cell in twelve of the numbers is missing."""
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "age": draw.normal(40, 12, ROWS).clip(1, 99).round(),
            "income": draw.lognormal(10, 0.6, ROWS).clip(0, 500_000).round(2),
            "visits": draw.poisson(6, ROWS).astype(float),
            "share": draw.random(ROWS).round(3),
            "city": draw.choice(CITIES, ROWS),
            "note": [" ".join(draw.choice(WORDS, draw.integers(1, 6))) for _ in range(ROWS)],
        }
    )
    score = rows.age / 12 + rows.visits / 3 + 2 * (rows.city == "Ulm") + draw.normal(0, 0.5, ROWS)
    ranks = score.rank(pct=True)
    if task == "regression":
        rows["y"] = score.clip(0.1, None)
    else:
        groups = np.where(ranks > 0.66, "high", np.where(ranks > 0.33, "middle", "low"))
        rows["y"] = groups if task == "three classes" else np.where(ranks > 0.6, "high", "low")
    for name in NUMBERS:
        rows[name] = rows[name].astype(object).where(draw.random(ROWS) > 1 / 12, None)
    return rows


def project(case: Case) -> Project:
    """Return a project with the case's pipeline as its candidate."""

    class Tried(Candidate, name="tried"):
        """The estimator that is tried."""

        def build(self, seed: int) -> Any:  # noqa: ARG002 - it is built with one
            """Return the pipeline."""
            return case.pipeline

    labels = {"binary": ["low", "high"], "three classes": ["low", "middle", "high"]}
    target = Quantity("y") if case.task == "regression" else Classes("y", labels[case.task])
    return Project(
        name="coverage",
        row=Visitor,
        target=target,
        data=lambda: table(case.task),
        candidates=[Tried],
    )


def _pipeline(kind: str, name: str, cls: Any, task: str) -> Any:
    tried = _small(name, cls, task)
    if kind == "transformer":
        last = Ridge() if task == "regression" else LogisticRegression(max_iter=500)
        return make_pipeline(_columns(name, tried), MinMaxScaler(), last)
    if kind == "classifier" and not hasattr(tried, "predict_proba"):
        tried = CalibratedClassifierCV(tried, ensemble=False, cv=3)
    if name in BOOSTERS:  # they take missing values, and two of the libraries text
        columns = [*NUMBERS] if name.startswith("Cat") else [*NUMBERS, "city"]
        kept = ColumnTransformer([("kept", "passthrough", columns)])
        return make_pipeline(kept.set_output(transform="pandas"), tried)
    steps: list[Any] = [SimpleImputer(strategy="median"), MinMaxScaler(clip=True)]
    if name == "CategoricalNB":
        method = "averaged_inverted_cdf"
        steps.append(KBinsDiscretizer(4, encode="ordinal", quantile_method=method))
    parts: list[Any] = [("numbers", make_pipeline(*steps), list(NUMBERS))]
    if name == "IsotonicRegression":  # of one column
        parts = [("numbers", make_pipeline(*steps), ["age"])]
    else:
        parts.append(("city", OneHotEncoder(drop="first", sparse_output=False), ["city"]))
    return make_pipeline(ColumnTransformer(parts), tried)


def _columns(name: str, tried: Any) -> Any:
    """Return the transformer `tried` for the columns that it is for, beside the usual ones for the others."""
    lowest = 0.1 if name in ("PowerTransformer", "FunctionTransformer") else 0.0
    scaled = [SimpleImputer(strategy="median"), MinMaxScaler((lowest, 1.0))]
    numbers: Any = ("numbers", make_pipeline(*scaled), list(NUMBERS))
    city: Any = ("city", OneHotEncoder(), ["city"])
    if name in TEXT:
        parts = [numbers, city, ("tried", tried, "note")]
    elif name in ENCODERS:
        parts = [numbers, ("tried", tried, ["city"])]
    elif name in IMPUTERS:
        parts = [("tried", tried, list(NUMBERS)), city]
    else:
        parts = [("tried", make_pipeline(*scaled, tried), list(NUMBERS)), city]
    return ColumnTransformer(parts, sparse_threshold=0.0)


def _small(name: str, cls: Any, task: str) -> Any:
    """Return the estimator, small and repeatable, with an inner estimator where it needs one."""
    regression = task == "regression"
    inner = Ridge() if regression else LogisticRegression(max_iter=500)
    tree = (DecisionTreeRegressor if regression else DecisionTreeClassifier)(max_depth=3)
    grid = {"alpha" if regression else "C": [0.1, 1.0]}
    search = {"n_iter": 2} if name == "RandomizedSearchCV" else {}
    arguments: dict[str, tuple[Any, ...]] = {
        "ColumnTransformer": ([("scaled", MinMaxScaler(), slice(0, 2))],),
        "FeatureUnion": ([("scaled", MinMaxScaler()), ("binned", KBinsDiscretizer(3))],),
        "Pipeline": ([("scaled", MinMaxScaler())],),
        "SelfTrainingClassifier": (inner,),
        "SparseCoder": (np.eye(4),),
    }
    if name in arguments:
        estimator = cls(*arguments[name])
    elif name.startswith(("Voting", "Stacking")):
        final = {} if name.startswith("Voting") else {"final_estimator": inner}
        estimator = cls([("first", inner), ("second", tree)], **final)
    elif name.endswith("SearchCV"):
        estimator = cls(inner, grid, **search)
    else:
        needed = [
            parameter
            for parameter in signature(cls).parameters.values()
            if parameter.default is Parameter.empty and parameter.kind in _POSITIONAL
        ]
        estimator = cls(*[inner for _ in needed])
    return estimator.set_params(**_small_parameters(name, estimator))


def _small_parameters(name: str, estimator: Any) -> dict[str, Any]:
    if name in BOOSTERS:
        return {"iterations" if name.startswith("Cat") else "n_estimators": 8}
    parameters = estimator.get_params(deep=False)
    small = {key: value for key, value in SMALL.items() if key in parameters}
    if name in ("LinearDiscriminantAnalysis", "CCA", "PLSCanonical", "PLSRegression", "PLSSVD"):
        small["n_components"] = 1
    if name.startswith("OrthogonalMatchingPursuit"):
        small.pop("max_iter", None)
    if name == "FunctionTransformer":
        small["func"] = np.log1p
    if name == "KBinsDiscretizer":
        small["quantile_method"] = "averaged_inverted_cdf"
    if name == "VotingClassifier":
        small["voting"] = "soft"
    if name == "SVC":
        small["probability"] = True
    return small
