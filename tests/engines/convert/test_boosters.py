"""Boosters are compiled exactly: XGBoost in float32, LightGBM in float64, CatBoost with float32 borders."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.support.budget import IS_CI
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from windlass.engines.boosters import encode_boosters

CLASSIFIERS = [
    XGBClassifier(n_estimators=20, max_depth=4, subsample=0.8, random_state=0),
    XGBClassifier(n_estimators=20, grow_policy="lossguide", max_leaves=6, base_score=0.3),
    XGBRFClassifier(n_estimators=12, random_state=0),
    LGBMClassifier(n_estimators=20, min_child_samples=5),
    LGBMClassifier(n_estimators=9, boosting_type="rf", subsample=0.7, subsample_freq=1),
    LGBMClassifier(n_estimators=12, boosting_type="dart", random_state=0),
    CatBoostClassifier(iterations=20, depth=4),
]
REGRESSORS = [
    XGBRegressor(n_estimators=60, learning_rate=0.1),
    XGBRegressor(n_estimators=10, objective="reg:absoluteerror"),
    XGBRegressor(n_estimators=10, objective="count:poisson"),
    XGBRegressor(n_estimators=10, objective="reg:tweedie"),
    XGBRFRegressor(n_estimators=10),
    LGBMRegressor(n_estimators=60),
    LGBMRegressor(n_estimators=10, objective="poisson"),
    LGBMRegressor(n_estimators=10, objective="quantile", alpha=0.8),
    CatBoostRegressor(iterations=60, learning_rate=0.1),
    CatBoostRegressor(iterations=10, loss_function="Poisson"),
    CatBoostRegressor(iterations=10, loss_function="Quantile:alpha=0.8", nan_mode="Max"),
]
NATIVE = {
    "booster='gblinear'": XGBRegressor(n_estimators=3, booster="gblinear"),
    "missing=-1": XGBRegressor(n_estimators=3, missing=-1),
    "zero_as_missing": LGBMRegressor(n_estimators=9, zero_as_missing=True),
    "linear trees": LGBMRegressor(n_estimators=3, linear_tree=True),
    "'regression sqrt'": LGBMRegressor(n_estimators=3, reg_sqrt=True),
    "grow_policy='Lossguide'": CatBoostRegressor(iterations=3, grow_policy="Lossguide"),
    "loss_function='RMSEWithUncertainty'": CatBoostRegressor(
        iterations=3, loss_function="RMSEWithUncertainty"
    ),
}
FAR = [0.0, -0.0, 3.4028235e38, 3.4028236e38, -1e39, 1e300, -1e300, 5e-324, np.nan]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"] if IS_CI else ["iris"])
def test_classifiers(
    model: Any, table: str, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    convert_exactly(encode_boosters(model), request.getfixturevalue(table))


@pytest.mark.parametrize("model", REGRESSORS, ids=repr)
def test_regressors_with_missing_values(model: Any, diabetes: Any, convert_exactly: Any) -> None:
    rows, target = diabetes
    holes = np.random.default_rng(0).random(rows.shape) < 0.05
    convert_exactly(encode_boosters(model), (rows.mask(holes), target))


@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(n_estimators=10, max_cat_to_onehot=2),
        XGBClassifier(n_estimators=10),
        LGBMClassifier(n_estimators=10, min_child_samples=5, min_data_per_group=5, cat_smooth=1.0),
    ],
    ids=repr,
)
def test_text_columns(model: Any, mixed: Any, convert_exactly: Any) -> None:
    names = np.array(["one", "two", "three"])
    report = convert_exactly(encode_boosters(model), (mixed[0], names[mixed[1]])).report
    assert report.max_difference < 5e-7


@pytest.mark.parametrize("kind", [XGBRegressor, LGBMRegressor, CatBoostRegressor])
def test_zeros_large_numbers_and_splits(kind: Any, compare_rows: Any) -> None:
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"x": draw.integers(-3, 4, 300).astype(float), "y": draw.normal(size=300)})
    target = rows.x.abs() + rows.y
    special = pd.DataFrame({"x": [*FAR, *range(-3, 4)], "y": 0.0}).astype(float)
    model = encode_boosters(kind(n_estimators=15))
    assert compare_rows(model, (rows, target), special, limit=np.inf) == 0


@pytest.mark.parametrize(
    "kind", [XGBClassifier, LGBMClassifier, CatBoostClassifier] if IS_CI else [XGBClassifier]
)
def test_after_encoders_and_inside_calibration(kind: Any, mixed: Any, convert_exactly: Any) -> None:
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["colour", "job"]),
        (StandardScaler(), ["age", "income", "since"]),
    )
    booster = CalibratedClassifierCV(kind(n_estimators=8), ensemble=False, cv=2)
    convert_exactly(encode_boosters(make_pipeline(encoder, booster)), mixed)


@pytest.mark.parametrize("reason", NATIVE)
def test_what_is_not_converted_is_native(reason: str, diabetes: Any, native_reason: Any) -> None:
    assert reason in native_reason(encode_boosters(NATIVE[reason]), diabetes)


def test_categories_of_catboost_are_native(mixed: Any, native_reason: Any) -> None:
    model = encode_boosters(CatBoostClassifier(iterations=5))
    assert "statistics of categories" in native_reason(model, mixed)


def test_a_subclass_may_compute_anything(diabetes: Any, native_reason: Any) -> None:
    class Own(XGBRegressor):  # type: ignore[misc]  # no types
        pass

    assert native_reason(encode_boosters(Own(n_estimators=3)), diabetes).startswith("Own: ")
