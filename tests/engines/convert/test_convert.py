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
def test_custom_transformers_are_native(step: Any, iris: Any, refused: Any) -> None:
    reason = refused(make_pipeline(step, LogisticRegression(max_iter=1000)), iris)
    assert type(step).__name__ in reason


def test_nothing_is_raised(iris: Any) -> None:
    rows, target = iris
    model = Angry().fit(rows, target)
    report = convert(
        FittedEstimator(model, tuple(rows), frozenset(), (0, 1, 2)), rows, seed=0
    ).report
    assert report.engine == "native"
    assert report.reason


def test_the_same_seed_gives_the_same_bytes_and_report(iris: Any, proved: Any) -> None:
    model = DecisionTreeClassifier(random_state=0)
    assert proved(model, iris, seed=7) == proved(model, iris, seed=7)
