"""Boosters with text labels and text columns, as every part of scikit-learn uses an estimator."""

import io
import pickle
import sys
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from xgboost import XGBClassifier, XGBRegressor

from windlass.core.bundle import BundleSchema
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord
from windlass.engines.boosters import EncodedBooster, encode_boosters
from windlass.engines.native import NativeEngine
from windlass.errors import EngineError

CLASSIFIERS = [
    XGBClassifier(n_estimators=8, random_state=1),
    LGBMClassifier(n_estimators=8, random_state=1, min_child_samples=5),
    CatBoostClassifier(iterations=8, random_seed=1),
]
REGRESSORS = [
    XGBRegressor(n_estimators=8),
    LGBMRegressor(n_estimators=8),
    CatBoostRegressor(iterations=8),
]
by_name = pytest.mark.parametrize("booster", CLASSIFIERS, ids=lambda each: type(each).__name__)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": draw.normal(size=240),
            "c": draw.choice(["x", "y", "z"], 240),
            "b": draw.normal(size=240),
        }
    )
    for name in ("a", "c"):
        frame[name] = frame[name].astype(object).where(draw.random(240) > 0.1, np.nan)
    return frame.astype({"a": float})


@pytest.fixture(scope="module")
def labels(rows: pd.DataFrame) -> Any:
    best = np.where(rows.a.fillna(0) + (rows.c == "x") > 0.4, "yes", "no")
    return np.where(rows.b > 0.7, "maybe", best)


@by_name
def test_text_labels_and_columns(booster: Any, rows: pd.DataFrame, labels: Any) -> None:
    model = encode_boosters(clone(booster)).fit(rows, labels)
    assert model.classes_.tolist() == ["maybe", "no", "yes"]
    probabilities = model.predict_proba(rows)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(rows))
    assert (model.predict(rows) == labels).mean() > 0.85
    assert probabilities.shape == (240, 3)


@by_name
def test_an_unknown_category_is_missing(booster: Any, rows: pd.DataFrame, labels: Any) -> None:
    model = encode_boosters(clone(booster)).fit(rows, labels)
    unknown, missing = rows.assign(c="new"), rows.assign(c=np.nan)
    np.testing.assert_array_equal(model.predict_proba(unknown), model.predict_proba(missing))
    assert not np.array_equal(model.predict_proba(rows), model.predict_proba(missing))


@by_name
def test_a_pickle_predicts_the_same_and_one_row_as_many(
    booster: Any, rows: pd.DataFrame, labels: Any
) -> None:
    model = encode_boosters(clone(booster)).fit(rows, labels)
    copy = pickle.loads(pickle.dumps(model))
    whole = model.predict_proba(rows)
    np.testing.assert_array_equal(copy.predict_proba(rows), whole)
    np.testing.assert_array_equal(copy.predict_proba(rows[7:8]), whole[7:8])


@pytest.mark.parametrize("booster", REGRESSORS, ids=lambda each: type(each).__name__)
def test_regression(booster: Any, rows: pd.DataFrame) -> None:
    model = encode_boosters(clone(booster)).fit(rows, 2 * rows.b)
    assert model.predict(rows).shape == (240,)
    assert model.score(rows, 2 * rows.b) > 0.5


@by_name
def test_inside_others(booster: Any, rows: pd.DataFrame, labels: Any) -> None:
    calibrated = encode_boosters(CalibratedClassifierCV(clone(booster), cv=2))
    assert calibrated.fit(rows, labels).predict(rows[:3]).tolist()
    search = encode_boosters(GridSearchCV(clone(booster), {"learning_rate": [0.1, 0.9]}, cv=2))
    assert isinstance(search.fit(rows, labels).best_estimator_, EncodedBooster)


def test_weights_by_class_name(rows: pd.DataFrame, labels: Any) -> None:
    heavy = {"maybe": 50.0}
    for booster in (
        LGBMClassifier(n_estimators=8, class_weight=heavy),
        CatBoostClassifier(iterations=8, class_weights=heavy | {"no": 1.0, "yes": 1.0}),
    ):
        predicted = encode_boosters(booster).fit(rows, labels).predict(rows)
        assert (predicted == "maybe").mean() > (labels == "maybe").mean()


def test_own_categories_of_catboost_and_numbers_among_text(rows: pd.DataFrame) -> None:
    frame = rows.assign(k=np.arange(240) % 3)
    model = encode_boosters(CatBoostRegressor(iterations=8, cat_features=["k"]))
    model.fit(frame, frame.k + frame.b)
    assert sorted(model.categories_) == [1, 3]
    array = encode_boosters(XGBRegressor(n_estimators=3)).fit(frame.to_numpy(object), frame.b)
    assert sorted(array.categories_) == [1]


@by_name
def test_zeros_of_a_sparse_matrix_are_zeros(booster: Any, labels: Any) -> None:
    dense = np.random.default_rng(2).integers(0, 3, (240, 5)).astype(float)
    models = [
        encode_boosters(clone(booster)).fit(each, labels)
        for each in (dense, sparse.csr_matrix(dense))
    ]
    outputs = [models[0].predict_proba(dense), models[1].predict_proba(sparse.csr_matrix(dense))]
    np.testing.assert_array_equal(*outputs)


def test_other_estimators_stay_as_they_are() -> None:
    model = LogisticRegression()
    assert encode_boosters(model) is model
    assert encode_boosters(object) is object


def test_a_server_without_the_extra_says_how_to_install_it(
    rows: pd.DataFrame, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = io.BytesIO()
    joblib.dump(encode_boosters(clone(CLASSIFIERS[0])).fit(rows, labels), pickled)
    for name in [name for name in sys.modules if name.partition(".")[0] == "xgboost"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Missing(), *sys.meta_path])
    kinds = {"a": ColumnKind.NUMBER, "c": ColumnKind.CATEGORY, "b": ColumnKind.NUMBER}
    columns = [ColumnSchema(name=name, kind=kind, nullable=True) for name, kind in kinds.items()]
    target = TargetRecord(name="y", classes=("maybe", "no", "yes"))
    schema = BundleSchema(row=RowSchema.from_columns("Row", *columns), target=target)
    with pytest.raises(EngineError, match=r"pip install 'windlass-ml\[boosters\]'"):
        NativeEngine.from_pickle(pickled.getvalue(), schema)


class _Missing:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "xgboost":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
