from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.loan_view import VIEW

from windlass.core.on_demand import YearsSince
from windlass.core.project import Project
from windlass.core.row import Row
from windlass.errors import ParameterError, ProjectError
from windlass.training.plan import TrainingPlan, TrainingRequest, resolve_plan

Make = Callable[..., Project]
AGE = {"age": YearsSince("birthday")}


def test_every_hyperparameter_is_resolved(project_of: Make) -> None:
    plan = resolve_plan(project_of({}), TrainingRequest(Path()))
    assert plan.params == {"model": "plain", "seed": 42, "test_size": 0.2, "C": 1.0}


def test_params_give_the_same_plan_again(project_of: Make) -> None:
    request = TrainingRequest(Path(), "other", {"depth": 5}, seed=7, test_size=0.3)
    plan = resolve_plan(project_of({}), request)
    assert TrainingPlan.from_params(project_of({}), plan.params) == plan


def test_an_unknown_model_is_refused(project_of: Make) -> None:
    with pytest.raises(ProjectError, match=r"no model 'svm'. Choose one of: plain, other"):
        resolve_plan(project_of({}), TrainingRequest(Path(), "svm"))


@pytest.mark.parametrize("size", [0, 1, -0.1, 1.5, float("nan"), True, None])
def test_a_test_size_outside_0_and_1_is_refused(project_of: Make, size: Any) -> None:
    with pytest.raises(ParameterError, match="not between 0 and 1"):
        resolve_plan(project_of({}), TrainingRequest(Path(), test_size=size))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None])
def test_a_seed_that_numpy_cannot_use_is_refused(project_of: Make, seed: Any) -> None:
    with pytest.raises(ParameterError, match="Seed"):
        resolve_plan(project_of({}), TrainingRequest(Path(), seed=seed))


def test_a_hyperparameter_of_another_model_is_refused(project_of: Make) -> None:
    with pytest.raises(
        ParameterError, match=r"depth is a hyperparameter of other, .* trains plain"
    ):
        resolve_plan(project_of({}), TrainingRequest(Path(), "plain", {"depth": 2}))


def test_an_unknown_hyperparameter_is_refused(project_of: Make) -> None:
    with pytest.raises(ParameterError, match=r"plain has no hyperparameter gamma. It has: C"):
        resolve_plan(project_of({}), TrainingRequest(Path(), "plain", {"gamma": 2}))


@pytest.mark.parametrize("value", [0, -1.0, "much", float("inf"), None])
def test_a_value_that_the_candidate_refuses_is_refused(project_of: Make, value: Any) -> None:
    with pytest.raises(ParameterError, match="Model plain cannot use C = "):
        resolve_plan(project_of({}), TrainingRequest(Path(), "plain", {"C": value}))


def test_a_file_is_part_of_the_plan_where_data_takes_one(project_of: Make) -> None:
    project = project_of(lambda file=None: {})
    plan = resolve_plan(project, TrainingRequest(Path(), data=Path("some") / "rows.csv"))
    assert plan.params == {
        "model": "plain", "seed": 42, "test_size": 0.2, "data": "some/rows.csv", "C": 1.0,
    }  # fmt: skip
    assert TrainingPlan.from_params(project, plan.params) == plan
    assert "data" not in resolve_plan(project, TrainingRequest(Path())).params


def test_a_file_is_part_of_the_plan_also_where_data_takes_none(project_of: Make) -> None:
    plan = resolve_plan(project_of({}), TrainingRequest(Path(), data=Path("rows.csv")))
    assert plan.params["data"] == "rows.csv"


class Client(Row):
    age: int | None


def _viewed(project_of: Make) -> Project:
    return project_of(lambda rows: rows, row=Client, view=replace(VIEW, at_request=AGE))


def test_of_a_view_the_plan_names_snapshot_and_version(project_of: Make) -> None:
    project = _viewed(project_of)
    plan = resolve_plan(project, TrainingRequest(Path(), snapshot=3))
    assert project.view_record is not None
    assert plan.params["snapshot"] == 3
    assert plan.params["view"] == project.view_record.version
    assert TrainingPlan.from_params(project, plan.params) == plan


def test_a_snapshot_needs_a_view(project_of: Make) -> None:
    with pytest.raises(ParameterError, match="has no feature view, and so no snapshots"):
        resolve_plan(project_of({}), TrainingRequest(Path(), snapshot=1))


@pytest.mark.parametrize("snapshot", [0, -1, 1.5, "1"])
def test_what_is_no_number_of_a_snapshot_is_refused(project_of: Make, snapshot: Any) -> None:
    with pytest.raises(ParameterError, match="is not the number of a snapshot"):
        resolve_plan(_viewed(project_of), TrainingRequest(Path(), snapshot=snapshot))


def test_of_a_view_a_file_is_built_first(project_of: Make) -> None:
    with pytest.raises(ParameterError, match=r"windlass features build --data FILE"):
        resolve_plan(_viewed(project_of), TrainingRequest(Path(), data=Path("loans.csv")))
