from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

MODELS = [
    LogisticRegression(),
    LinearSVC(),
    RandomForestClassifier(10, random_state=0),
    HistGradientBoostingClassifier(max_iter=10),
]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("table", ["iris", "cancer"])
def test_curves(
    method: Any, model: Any, table: Any, convert_exactly: Any, request: pytest.FixtureRequest
) -> None:
    pipeline = make_pipeline(StandardScaler(), model)
    calibrated = CalibratedClassifierCV(pipeline, method=method, cv=3)
    convert_exactly(calibrated, request.getfixturevalue(table))


def test_one_curve_for_the_whole(cancer: Any, convert_exactly: Any) -> None:
    model = CalibratedClassifierCV(
        HistGradientBoostingClassifier(max_iter=10), ensemble=False, cv=3
    )
    convert_exactly(model, cancer)


def test_over_a_frozen_classifier(cancer: Any, convert_exactly: Any) -> None:
    rows, target = cancer
    inner = KNeighborsClassifier(algorithm="kd_tree").fit(rows, target)
    convert_exactly(CalibratedClassifierCV(FrozenEstimator(inner)), cancer)


def test_temperature_is_native(iris: Any, native_reason: Any) -> None:
    model = CalibratedClassifierCV(LogisticRegression(max_iter=1000), method="temperature", cv=3)
    assert "method='temperature'" in native_reason(model, iris)


def test_far_away_all_curves_are_small(iris: Any, compare_rows: Any) -> None:
    # Their sum divides them, so that digits beyond the sixteenth of 1 decide.
    sizes = 10 ** np.arange(0, 3, 0.25)
    far = np.outer([*sizes, *-sizes], np.ones(4))
    model = CalibratedClassifierCV(QuadraticDiscriminantAnalysis(), cv=3)
    assert compare_rows(model, iris, pd.DataFrame(far, columns=iris[0].columns)) == 0
