from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from windlass.core.project import Project
from windlass.core.target import Quantity
from windlass.errors import DataError, ParameterError
from windlass.training.dataset import snapshot
from windlass.training.split import split

Table = dict[str, list[Any]]
Make = Callable[..., Project]


def test_the_split_is_stratified_and_holds_every_row_once(project_of: Make, table: Table) -> None:
    table["kind"] = ["b"] * 15 + ["a"] * 5
    project = project_of(table)
    dataset = snapshot(project)
    parts = split(dataset, project.target, test_size=0.2, seed=1)
    assert sorted([*parts.train, *parts.test]) == list(range(20))
    assert dataset.labels is not None
    assert np.bincount(dataset.labels[parts.test]).tolist() == [3, 1]


def test_the_seed_decides_the_split(project_of: Make, table: Table) -> None:
    project = project_of(table)
    dataset = snapshot(project)
    tests = [
        split(dataset, project.target, test_size=0.2, seed=seed).test.tolist() for seed in (1, 1, 2)
    ]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("size", [0.01, 0.05, 0.97, 0.999])
def test_a_side_without_every_class_is_refused(project_of: Make, table: Table, size: float) -> None:
    project = project_of(table)
    with pytest.raises(ParameterError, match=f"Test size {size} "):
        split(snapshot(project), project.target, test_size=size, seed=1)


def test_a_rare_class_that_the_test_rows_miss_is_refused(project_of: Make, table: Table) -> None:
    table["kind"] = ["b"] * 18 + ["a"] * 2
    project = project_of(table)
    with pytest.raises(
        ParameterError, match=r"2 test rows, none of class 'a'. Choose a larger one"
    ):
        split(snapshot(project), project.target, test_size=0.1, seed=1)


@pytest.mark.parametrize("rare", [0, 1])
def test_a_class_that_cannot_stand_on_both_sides_is_refused(
    project_of: Make, table: Table, rare: int
) -> None:
    table["kind"] = ["b"] * (20 - rare) + ["a"] * rare
    project = project_of(table)
    with pytest.raises(DataError, match=f"Class 'a' .* has {rare} rows"):
        split(snapshot(project), project.target, test_size=0.2, seed=1)


def test_a_regression_needs_two_test_rows(project_of: Make, table: Table) -> None:
    project = project_of(table | {"kind": [float(i) for i in range(20)]}, target=Quantity("kind"))
    with pytest.raises(ParameterError, match="holds out 1 of 20 rows"):
        split(snapshot(project), project.target, test_size=0.04, seed=1)
