from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from windlass.engines.convert import FittedEstimator, convert


class Doubling(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    def fit(self, X: Any, y: Any = None) -> Any:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X) * 2


class Scaled(StandardScaler):  # type: ignore[misc]  # scikit-learn ships no types
    def transform(self, X: Any, copy: Any = None) -> Any:
        return super().transform(X, copy) + 1.0


class Angry(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        return self

    def __getattr__(self, name: Any) -> Any:
        raise RuntimeError(f"no {name}\nfor you")


@pytest.mark.parametrize("step", [Doubling(), Scaled()], ids=repr)
def test_custom_transformers_are_native(step: Any, iris: Any, native_reason: Any) -> None:
    reason = native_reason(make_pipeline(step, LogisticRegression(max_iter=1000)), iris)
    assert type(step).__name__ in reason


def test_nothing_is_raised(iris: Any) -> None:
    rows, target = iris
    model = Angry().fit(rows, target)
    report = convert(
        FittedEstimator(model, tuple(rows), frozenset(), (0, 1, 2)), rows, seed=0
    ).report
    assert report.engine == "native"
    assert report.reason


def test_the_same_seed_gives_the_same_bytes_and_report(iris: Any, convert_exactly: Any) -> None:
    model = DecisionTreeClassifier(random_state=0)
    assert convert_exactly(model, iris, seed=7) == convert_exactly(model, iris, seed=7)


def test_at_least_5000_generated_rows_are_compared_unless_fewer_are_requested(iris: Any) -> None:
    rows, target = iris
    model = DecisionTreeClassifier(random_state=0).fit(rows, target)
    fitted = FittedEstimator(model, tuple(rows), frozenset(), (0, 1, 2))
    assert 5000 <= convert(fitted, rows, seed=0).report.rows - len(rows) < 7000
    assert 200 <= convert(fitted, rows, seed=0, probe_rows=200).report.rows - len(rows) < 700
