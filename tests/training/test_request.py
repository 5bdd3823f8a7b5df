from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from windlass.core.project import Project
from windlass.errors import ParameterError, ProjectError
from windlass.training.request import Plan, TrainingRequest, resolve

Make = Callable[..., Project]


def test_every_hyperparameter_is_resolved(project_of: Make) -> None:
    plan = resolve(project_of({}), TrainingRequest(Path()))
    assert plan.params == {"model": "plain", "seed": 42, "test_size": 0.2, "C": 1.0}


def test_params_give_the_same_plan_again(project_of: Make) -> None:
    request = TrainingRequest(Path(), "other", {"depth": 5}, seed=7, test_size=0.3)
    plan = resolve(project_of({}), request)
    assert Plan.of_params(project_of({}), plan.params) == plan


def test_an_unknown_model_is_refused(project_of: Make) -> None:
    with pytest.raises(ProjectError, match=r"no model 'svm'. Choose one of: plain, other"):
        resolve(project_of({}), TrainingRequest(Path(), "svm"))


@pytest.mark.parametrize("size", [0, 1, -0.1, 1.5, float("nan"), True, None])
def test_a_test_size_outside_0_and_1_is_refused(project_of: Make, size: Any) -> None:
    with pytest.raises(ParameterError, match="not between 0 and 1"):
        resolve(project_of({}), TrainingRequest(Path(), test_size=size))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None])
def test_a_seed_that_numpy_cannot_use_is_refused(project_of: Make, seed: Any) -> None:
    with pytest.raises(ParameterError, match="Seed"):
        resolve(project_of({}), TrainingRequest(Path(), seed=seed))


def test_a_hyperparameter_of_another_model_is_refused(project_of: Make) -> None:
    with pytest.raises(
        ParameterError, match=r"depth is a hyperparameter of other, .* trains plain"
    ):
        resolve(project_of({}), TrainingRequest(Path(), "plain", {"depth": 2}))


def test_an_unknown_hyperparameter_is_refused(project_of: Make) -> None:
    with pytest.raises(ParameterError, match=r"plain has no hyperparameter gamma. It has: C"):
        resolve(project_of({}), TrainingRequest(Path(), "plain", {"gamma": 2}))


@pytest.mark.parametrize("value", [0, -1.0, "much", float("inf"), None])
def test_a_value_that_the_candidate_refuses_is_refused(project_of: Make, value: Any) -> None:
    with pytest.raises(ParameterError, match="Model plain cannot use C = "):
        resolve(project_of({}), TrainingRequest(Path(), "plain", {"C": value}))
