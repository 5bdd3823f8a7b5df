"""Early stopping: which rows it validates on, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from catboost import CatBoostRegressor
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from windlass.core.evaluation_rules import GroupTimeSplit
from windlass.core.gates import NotWorse
from windlass.core.progress import ignore_progress
from windlass.core.project import Candidate, Project
from windlass.core.targets.quantity import Quantity
from windlass.errors import ParameterError, ProjectError
from windlass.training.plan import TrainingPlan, TrainingRequest, resolve_plan
from windlass.training.run import TrainingRun, run_training

Make = Callable[..., Project]


@pytest.fixture
def table() -> dict[str, list[Any]]:
    draw, size = np.random.default_rng(1), 200
    x = draw.uniform(0, 100, size).round(3)
    colour = draw.choice(["red", "blue", "green"], size)
    days = np.datetime64("2026-01-01") + np.arange(size)
    return {
        "x": x.tolist(),
        "n": [None if i % 9 == 0 else i % 5 for i in range(size)],
        "colour": [None if i % 11 == 0 else str(c) for i, c in enumerate(colour)],
        "kind": np.where(x + 20 * (colour == "red") > 50, "b", "a").tolist(),
        "person": [i % 40 for i in range(size)],
        "day": days.tolist(),
    }


def _run(project_of: Make, table: Any, estimator: Any, **parts: Any) -> TrainingRun:
    class Tried(Candidate, name="tried"):
        def build(self, seed: int) -> Any:
            return estimator

    project = project_of(table, candidates=[Tried], **parts)
    return run_training(project, resolve_plan(project, TrainingRequest(Path())), ignore_progress)


def _xgb(**options: Any) -> Any:
    return XGBClassifier(n_estimators=40, early_stopping_rounds=2, random_state=0, **options)


def test_validation_rows_come_from_those_of_training(project_of: Make, table: Any) -> None:
    run = _run(project_of, table, _xgb(), validation=0.25)
    parts = [run.split.train, run.split.validation, run.split.test]
    assert [len(part) for part in parts] == [120, 40, 40]
    assert len(np.unique(np.concatenate(parts))) == 200
    assert run.evaluation.metrics["validation_rows"] == 40
    assert 0 < run.evaluation.metrics["best_iteration"] < 39
    assert run.plan.params["validation"] == 0.25
    again = TrainingPlan.from_params(run.project, run.plan.params)
    assert again.validation == 0.25


def test_the_same_seed_gives_the_same_model(project_of: Make, table: Any) -> None:
    for booster in (
        _xgb(subsample=0.5),
        LGBMClassifier(n_estimators=9, bagging_freq=1, subsample=0.5),
    ):
        runs = [_run(project_of, table, booster, validation=0.25) for _ in range(2)]
        assert runs[0].evaluation.metrics == runs[1].evaluation.metrics


def test_a_model_that_does_not_stop_early_trains_on_all_rows(project_of: Make, table: Any) -> None:
    run = _run(project_of, table, XGBClassifier(n_estimators=3), validation=0.25)
    assert (len(run.split.train), len(run.split.validation)) == (160, 0)
    assert "validation_rows" not in run.evaluation.metrics


def test_equal_rows_are_on_one_side_where_the_split_is_by_content(
    project_of: Make, table: Any
) -> None:
    doubled = {name: values + values for name, values in table.items()}
    run = _run(
        project_of, doubled, _xgb(), validation=0.25, gates=[NotWorse("accuracy")], split=None
    )
    validation = set((run.split.validation % 200).tolist())
    assert validation
    assert not validation & set((run.split.train % 200).tolist())


def test_a_group_is_on_one_side_where_the_split_is_by_group(project_of: Make, table: Any) -> None:
    data = pa.table({**table, "day": pa.array(table["day"], pa.date32())})
    run = _run(project_of, data, _xgb(), validation=0.3, split=GroupTimeSplit("person", "day"))
    people = np.array(table["person"])
    groups = [set(people[part].tolist()) for part in (run.split.train, run.split.validation)]
    assert all(groups)
    assert not groups[0] & groups[1]


def test_a_pipeline_passes_transformed_rows(project_of: Make, table: Any) -> None:
    data = {**table, "y": table["x"]}
    booster = CatBoostRegressor(iterations=300, od_type="Iter", od_wait=3, learning_rate=0.5)
    pipeline = make_pipeline(FunctionTransformer(), booster)
    target = Quantity("y")
    run = _run(project_of, data, pipeline, validation=0.2, target=target)
    assert 0 < run.evaluation.metrics["best_iteration"] < 299
    assert run.evaluation.metrics["r2"] > 0.9


@pytest.mark.parametrize(
    "booster",
    [_xgb(), LGBMClassifier(early_stopping_round=3), CatBoostRegressor(early_stopping_rounds=3)],
    ids=lambda booster: type(booster).__name__,
)
def test_without_rows_to_validate_on_it_is_refused(
    project_of: Make, table: Any, booster: Any
) -> None:
    with pytest.raises(
        ParameterError, match=r"stops early \(early_stopping_rounds?\).*Project\(validation=0\.15\)"
    ):
        _run(project_of, table, booster)


def test_inside_another_estimator_it_is_refused(project_of: Make, table: Any) -> None:
    with pytest.raises(ParameterError, match="inside CalibratedClassifierCV"):
        _run(project_of, table, CalibratedClassifierCV(_xgb()), validation=0.2)


@pytest.mark.parametrize("share", [0.0, 1.0, 15, "0.15", True])
def test_a_share_that_is_none_is_refused(project_of: Make, table: Any, share: Any) -> None:
    with pytest.raises(ProjectError, match="validation is a share of the training rows"):
        project_of(table, validation=share)


def test_a_share_that_leaves_too_few_rows_is_refused(project_of: Make, table: Any) -> None:
    with pytest.raises(ParameterError, match=r"Validation share 0\.001 "):
        _run(project_of, table, _xgb(), validation=0.001)


def test_other_estimators_are_fitted_as_they_are(project_of: Make, table: Any) -> None:
    numbers = {**table, "n": [1] * 200, "colour": [None] * 200}
    model = make_pipeline(FunctionTransformer(_only_numbers), LogisticRegression())
    run = _run(project_of, numbers, model, validation=0.2)
    assert run.estimator is model


def _only_numbers(frame: Any) -> Any:
    return frame[["x"]]
