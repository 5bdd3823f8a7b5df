from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression())
CALIBRATED = CalibratedClassifierCV(
    RandomForestClassifier(5, class_weight="balanced", random_state=0), ensemble=False, cv=3
)


@pytest.mark.parametrize(
    "model", [LOGISTIC, RandomForestClassifier(10, random_state=0)], ids=["logistic", "forest"]
)
@pytest.mark.parametrize("threshold", [0.03, 0.5, "auto"])
def test_a_set_threshold(model: Any, threshold: Any, cancer: Any, convert_exactly: Any) -> None:
    convert_exactly(FixedThresholdClassifier(model, threshold=threshold), cancer)


def test_a_threshold_of_calibrated_probabilities(cancer: Any, convert_exactly: Any) -> None:
    convert_exactly(FixedThresholdClassifier(CALIBRATED, threshold=0.03), cancer)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
def test_either_class_may_be_positive(
    positive: int, method: Any, cancer: Any, convert_exactly: Any
) -> None:
    threshold = 0.9 if method == "predict_proba" else 2.5
    model = FixedThresholdClassifier(
        LOGISTIC, threshold=threshold, pos_label=positive, response_method=method
    )
    convert_exactly(model, cancer)


def test_the_threshold_moves_labels(cancer: Any, convert_exactly: Any) -> None:
    rows, target = cancer
    low, high = (
        FixedThresholdClassifier(LOGISTIC, threshold=threshold).fit(rows, target).predict(rows)
        for threshold in (0.01, 0.99)
    )
    assert low.sum() > high.sum()


def test_a_threshold_over_a_frozen_classifier(cancer: Any, convert_exactly: Any) -> None:
    inner = LogisticRegression(max_iter=5000).fit(*cancer)
    convert_exactly(FixedThresholdClassifier(FrozenEstimator(inner), threshold=0.2), cancer)


def test_a_threshold_that_was_found(cancer: Any, convert_exactly: Any) -> None:
    convert_exactly(TunedThresholdClassifierCV(LOGISTIC, scoring="balanced_accuracy", cv=3), cancer)


def test_without_probabilities_it_is_native(cancer: Any, native_reason: Any) -> None:
    model = make_pipeline(StandardScaler(), FixedThresholdClassifier(LinearSVC(), threshold=0.1))
    assert native_reason(model, cancer)
