import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline

from windlass.core.progress import ignore_progress
from windlass.core.project import Candidate, Project
from windlass.core.row import Row, column
from windlass.errors import ParameterError
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.reference_examples import select_reference_examples
from windlass.training.run import TrainingRun, run_training

Table = dict[str, list[Any]]
Make = Callable[..., Project]


class Pair(Row):
    x: float = column("First")
    n: int | None = column("Second")


def _run(project_of: Make, table: Table, estimator: Callable[[int], Any]) -> TrainingRun:
    class Tried(Candidate, name="tried"):
        def build(self, seed: int) -> Any:
            return estimator(seed)

    project = project_of(table, row=Pair, candidates=[Tried])
    return run_training(project, resolve_plan(project, TrainingRequest(Path())), ignore_progress)


def test_a_fit_that_fails_is_one_line(project_of: Make, table: Table) -> None:
    table["n"][10:] = [None] * 10
    with pytest.raises(
        ParameterError, match=r"Fitting model tried failed: ValueError: .*NaN"
    ) as raised:
        _run(project_of, table, lambda seed: LogisticRegression())
    assert "\n" not in str(raised.value)


def test_predictions_that_fail_are_one_line(project_of: Make, table: Table) -> None:
    # row 3, the only one with a missing value, is a test row under the default seed
    with pytest.raises(
        ParameterError, match=r"The pipeline failed: ValueError: .*NaN\. Check"
    ) as raised:
        _run(project_of, table, lambda seed: LogisticRegression())
    assert "\n" not in str(raised.value)


def test_a_build_that_fails_is_one_line(project_of: Make, table: Table) -> None:
    with pytest.raises(ParameterError, match="Fitting model tried failed: ZeroDivisionError"):
        _run(project_of, table, lambda seed: 1 // 0)


def test_an_error_about_missing_probabilities_names_calibration(
    project_of: Make, table: Table
) -> None:
    with pytest.raises(ParameterError, match="CalibratedClassifierCV"):
        _run(project_of, table, lambda seed: make_pipeline(SimpleImputer(), RidgeClassifier()))


class _Nan(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    def fit(self, X: Any, y: Any) -> "_Nan":
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[np.zeros(len(X), int)]

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), 2), np.nan)


def test_predictions_that_are_not_finite_are_refused(project_of: Make, table: Table) -> None:
    with pytest.raises(ParameterError, match="NaN or infinity for 4 of 4 rows"):
        _run(project_of, table, lambda seed: _Nan())


def test_warnings_of_the_fit_are_kept_once_and_not_printed(project_of: Make, table: Table) -> None:
    class Loud(_Nan):
        def fit(self, X: Any, y: Any) -> "Loud":
            for _ in range(3):
                warnings.warn("slow\nsecond line", UserWarning, stacklevel=1)
            super().fit(X, y)
            return self

        def predict_proba(self, X: Any) -> Any:
            return np.full((len(X), 2), 0.5)

    assert _run(project_of, table, lambda seed: Loud()).warnings == ("slow",)


def test_reference_examples_hold_missing_values_and_full_precision(
    project_of: Make, table: Table
) -> None:
    run = _run(project_of, table, lambda seed: make_pipeline(SimpleImputer(), LogisticRegression()))
    sealed = select_reference_examples(run)
    assert len(sealed["rows"]) == len(run.split.test) == len(sealed["expected"])
    frame = run.dataset.frame.iloc[run.split.test]
    holes = int(frame["n"].isna().sum())
    assert [row["n"] is None for row in sealed["rows"]].count(True) == holes
    by_x = {
        row["x"]: answer for row, answer in zip(sealed["rows"], sealed["expected"], strict=True)
    }
    shares = run.estimator.predict_proba(frame)
    for x, share in zip(frame["x"], shares, strict=True):
        assert by_x[x]["probabilities"] == share[::-1].tolist()  # declared b, a; fitted a, b
        assert by_x[x]["label"] == ("b" if share[1] > share[0] else "a")
