import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from windlass.engines.convert import Fitted, convert


class Doubling(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X) * 2


class Scaled(StandardScaler):
    def transform(self, X, copy=None):
        return super().transform(X, copy) + 1.0


class Angry(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}\nfor you")


@pytest.mark.parametrize("step", [Doubling(), Scaled()], ids=repr)
def test_custom_transformers_are_native(step, iris, refused):
    reason = refused(make_pipeline(step, LogisticRegression(max_iter=1000)), iris)
    assert type(step).__name__ in reason


def test_nothing_is_raised(iris):
    rows, target = iris
    model = Angry().fit(rows, target)
    report = convert(Fitted(model, tuple(rows), frozenset(), (0, 1, 2)), rows, seed=0).report
    assert report.engine == "native"
    assert report.reason


def test_the_same_seed_gives_the_same_bytes_and_report(iris, proved):
    model = DecisionTreeClassifier(random_state=0)
    assert proved(model, iris, seed=7) == proved(model, iris, seed=7)
