"""Every estimator of scikit-learn in a pipeline on one of four tables, as people would use it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

TEXT = frozenset({"colour", "grade"})
COLOURS = ("red", "green", "blue")
# what needs another kind of input than a table: several targets, images, texts, dictionaries, a precomputed kernel
_OTHER_INPUT = (
    "ClassifierChain", "DictVectorizer", "FeatureHasher", "HashingVectorizer", "KernelCenterer",
    "MultiOutputClassifier", "MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
    "MultiTaskLasso", "MultiTaskLassoCV", "PatchExtractor", "RegressorChain", "SparseCoder",
    "TfidfVectorizer", "CountVectorizer", "LabelBinarizer", "LabelEncoder", "MultiLabelBinarizer",
    "IsotonicRegression", "ColumnTransformer", "FeatureUnion", "Pipeline",
)  # fmt: skip
_SMALL: dict[str, Any] = {
    "n_estimators": 5, "max_iter": 50, "random_state": 0, "n_components": 2, "n_clusters": 3,
    "n_quantiles": 20, "cv": 3, "n_init": 1, "n_jobs": None, "n_resampling": 3, "max_subpopulation": 20,
}  # fmt: skip
_ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")


@dataclass(frozen=True)
class Case:
    """An unfitted pipeline, with the table that it is fitted on."""

    name: str
    pipeline: Any
    rows: pd.DataFrame = field(repr=False)
    target: Any = field(repr=False)


def _table(load: Any, columns: int) -> tuple[pd.DataFrame, Any]:
    data = load(as_frame=True)
    rows = data.data.iloc[::3, :columns].astype(float).reset_index(drop=True)
    return rows.set_axis([f"x{n}" for n in range(columns)], axis=1), data.target.to_numpy()[::3]


def _mixed() -> tuple[pd.DataFrame, Any]:
    draw, size = np.random.default_rng(1), 150
    rows = pd.DataFrame(
        {
            "age": draw.normal(40, 12, size).round(),
            "colour": draw.choice(COLOURS, size),
            "income": draw.lognormal(1, 1, size),
            "grade": draw.choice(["a", "b"], size),
        }
    )
    target = (rows.age + 10 * (rows.colour == "red") + draw.normal(0, 5, size) > 43).to_numpy()
    for name in ("age", "income", "colour"):
        rows.loc[draw.random(size) < 0.1, name] = np.nan
    return rows.astype({"colour": object, "grade": object}), target.astype(int)


TABLES = {
    "binary": _table(load_breast_cancer, 4),
    "three classes": _table(load_iris, 4),
    "regression": _table(load_diabetes, 4),
    "mixed": _mixed(),
}


def _small(kind: Any) -> Any:
    """The estimator, small and repeatable, with an inner estimator where it needs one."""
    name = kind.__name__
    inner = LogisticRegression(max_iter=200) if "Regressor" not in name else Ridge()
    if name in ("VotingClassifier", "StackingClassifier"):
        return kind([("a", inner), ("b", DecisionTreeClassifier(max_depth=3, random_state=0))])
    if name in ("VotingRegressor", "StackingRegressor"):
        return kind([("a", Ridge()), ("b", Ridge(2.0))])
    if name in ("GridSearchCV", "HalvingGridSearchCV"):
        return kind(inner, {"C": [0.1, 1.0]}, cv=3)
    if name in ("RandomizedSearchCV", "HalvingRandomSearchCV"):
        return kind(inner, {"C": [0.1, 1.0]}, n_iter=2, cv=3, random_state=0)
    required = [
        parameter
        for parameter in signature(kind).parameters.values()
        if parameter.default is Parameter.empty and parameter.kind is not Parameter.VAR_KEYWORD
    ]
    estimator = kind(*[inner for _ in required])
    parameters = estimator.get_params(deep=False)
    small = {key: value for key, value in _SMALL.items() if key in parameters}
    if name == "LinearDiscriminantAnalysis":
        small["n_components"] = 1
    if name == "FunctionTransformer":
        small["func"] = np.log1p
    if name.startswith("KBins"):
        small["quantile_method"] = "averaged_inverted_cdf"
    return estimator.set_params(**small)


def _behind_columns(estimator: Any, numeric: list[str], *, encoder: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), estimator)
    return make_column_transformer((numbers, numeric), (encoder, sorted(TEXT)))


def cases(filters: tuple[str, ...] = ("classifier", "regressor", "transformer")) -> Iterator[Case]:
    """Yield every estimator on every table that it can be fitted on."""
    for kind in filters:
        for name, cls in all_estimators(type_filter=kind):
            if name in _OTHER_INPUT:
                continue
            for table, (rows, target) in TABLES.items():
                if (kind == "regressor") != (table == "regression"):
                    continue
                pipeline = _pipeline(kind, name, cls, table)
                yield Case(f"{name}, {table}", pipeline, rows, target)


def _pipeline(kind: str, name: str, cls: Any, table: str) -> Any:
    estimator = _small(cls)
    if kind == "classifier" and not hasattr(cls, "predict_proba"):
        estimator = CalibratedClassifierCV(estimator, cv=3)
    last = LogisticRegression(max_iter=200)
    if table != "mixed":
        return make_pipeline(estimator, last) if kind == "transformer" else estimator
    numbers = ["age", "income"]
    if kind != "transformer":
        columns = make_column_transformer(
            (SimpleImputer(), numbers), (OrdinalEncoder(), sorted(TEXT))
        )
        return make_pipeline(columns, SimpleImputer(strategy="most_frequent"), estimator)
    if name in _ENCODERS:
        columns = make_column_transformer((SimpleImputer(), numbers), (estimator, sorted(TEXT)))
        return make_pipeline(columns, SimpleImputer(), last)
    if name in ("SimpleImputer", "KNNImputer", "MissingIndicator", "IterativeImputer"):
        columns = make_column_transformer((estimator, numbers), (OneHotEncoder(), sorted(TEXT)))
        return make_pipeline(columns, last)
    return make_pipeline(_behind_columns(estimator, numbers, encoder=OneHotEncoder()), last)
