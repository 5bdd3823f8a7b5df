from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windlass.core.gates import NotWorse
from windlass.core.progress import ignore_progress
from windlass.core.project import Project
from windlass.core.row import Row
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError, ParameterError, counted
from windlass.training.dataset import Dataset, read_dataset
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.run import run_training
from windlass.training.split import Split, split, split_by_content

Table = dict[str, list[Any]]
Make = Callable[..., Project]


class X(Row):
    x: float


def test_the_split_is_stratified_and_holds_every_row_once(project_of: Make, table: Table) -> None:
    table["kind"] = ["b"] * 15 + ["a"] * 5
    project = project_of(table)
    dataset = read_dataset(project)
    parts = split(dataset, project.target, test_size=0.2, seed=1)
    assert sorted([*parts.train, *parts.test]) == list(range(20))
    assert dataset.labels is not None
    assert np.bincount(dataset.labels[parts.test]).tolist() == [3, 1]


def test_the_seed_decides_the_split(project_of: Make, table: Table) -> None:
    project = project_of(table)
    dataset = read_dataset(project)
    tests = [
        split(dataset, project.target, test_size=0.2, seed=seed).test.tolist() for seed in (1, 1, 2)
    ]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("size", [0.01, 0.05, 0.97, 0.999])
def test_a_side_without_every_class_is_refused(project_of: Make, table: Table, size: float) -> None:
    project = project_of(table)
    with pytest.raises(ParameterError, match=f"Test size {size} "):
        split(read_dataset(project), project.target, test_size=size, seed=1)


def test_a_rare_class_that_the_test_rows_miss_is_refused(project_of: Make, table: Table) -> None:
    table["kind"] = ["b"] * 18 + ["a"] * 2
    project = project_of(table)
    with pytest.raises(
        ParameterError, match=r"2 test rows, none of class 'a' of kind. Choose a larger one"
    ):
        split(read_dataset(project), project.target, test_size=0.1, seed=1)


@pytest.mark.parametrize("rare", [0, 1])
def test_a_class_that_cannot_stand_on_both_sides_is_refused(
    project_of: Make, table: Table, rare: int
) -> None:
    table["kind"] = ["b"] * (20 - rare) + ["a"] * rare
    project = project_of(table)
    with pytest.raises(DataError, match=f"Class 'a' .* has {counted(rare, 'row')}"):
        split(read_dataset(project), project.target, test_size=0.2, seed=1)


def test_a_regression_needs_two_test_rows(project_of: Make, table: Table) -> None:
    project = project_of(table | {"kind": [float(i) for i in range(20)]}, target=Quantity("kind"))
    with pytest.raises(ParameterError, match="holds out 1 of 20 rows"):
        split(read_dataset(project), project.target, test_size=0.04, seed=1)


def _copied(table: Table, rows: list[int]) -> Table:
    return {name: values + [values[row] for row in rows] for name, values in table.items()}


@pytest.mark.parametrize("seed", range(5))
def test_equal_rows_are_on_one_side(project_of: Make, seed: int) -> None:
    """Also where a rare class was oversampled: every copy is with its row, every class on both sides."""
    table = _many(200) | {"kind": ["a"] * 10 + ["b"] * 190}
    copied = _copied(table, list(range(10)) * 15 + [50])
    copied["kind"][-1] = "a"  # the same row with another label
    project = project_of(copied)
    dataset = read_dataset(project)
    parts = split(dataset, project.target, test_size=0.2, seed=seed)
    rows = dataset.batch.numeric[:, 0]
    assert sorted([*parts.train, *parts.test]) == list(range(351))
    assert not set(rows[parts.test]) & set(rows[parts.train])
    assert len(set(rows[parts.test]) & set(rows[:10])) in (
        2,
        3,
    )  # stratified: a fifth of ten, or with the last


def test_rows_that_are_equal_by_chance_are_drawn_one_by_one(project_of: Make) -> None:
    random = np.random.default_rng(0)
    project = project_of(
        {"x": random.integers(0, 4, 400).astype(float), "kind": random.choice(["a", "b"], 400)},
        row=X,
    )
    dataset = read_dataset(project)
    parts = split(dataset, project.target, test_size=0.2, seed=1)
    assert len(parts.test) == 80
    assert set(dataset.batch.numeric[parts.test, 0]) == {0, 1, 2, 3}


def test_more_equal_rows_than_the_test_has_are_training_rows(project_of: Make) -> None:
    table = _copied(_many(100), [7] * 60)
    project = project_of(table)
    dataset = read_dataset(project)
    for seed in range(5):
        parts = split(dataset, project.target, test_size=0.2, seed=seed)
        assert table["x"][7] not in dataset.batch.numeric[parts.test, 0]
        assert len(parts.test) == 20


def test_a_class_whose_rows_are_all_equal_is_refused(project_of: Make) -> None:
    table = _many(60) | {"kind": ["a"] + ["b"] * 59}
    project = project_of(_copied(table, [0, 0]))
    with pytest.raises(DataError, match=r"Class 'a' .* has 3 rows, all equal; .* Add other rows"):
        split(read_dataset(project), project.target, test_size=0.2, seed=1)


def _many(rows: int, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    return {
        "x": random.uniform(0, 100, rows).tolist(),
        "n": random.integers(0, 9, rows).tolist(),
        "colour": random.choice(["red", "blue"], rows).tolist(),
        "kind": random.choice(["a", "b"], rows).tolist(),
    }


def _by_content(project: Project, size: float = 0.2) -> tuple[Dataset, Split]:
    dataset = read_dataset(project)
    return dataset, split_by_content(dataset, project.schema, project.target, test_size=size)


def _held(project: Project, size: float = 0.2) -> set[float]:
    dataset, parts = _by_content(project, size)
    return set(dataset.batch.numeric[parts.test, 0].tolist())


def test_by_content_every_row_stands_on_one_side(project_of: Make) -> None:
    _, parts = _by_content(project_of(_many(2000)))
    assert sorted([*parts.train, *parts.test]) == list(range(2000))
    assert len(parts.test) == pytest.approx(400, abs=60)
    assert parts.method == "content"


def test_by_content_a_row_keeps_its_side(project_of: Make) -> None:
    table = _many(400)
    held = _held(project_of(table))
    backwards = {name: values[::-1] for name, values in table.items()}
    assert _held(project_of(backwards)) == held
    relabelled = table | {"kind": ["a", "b"] * 200}
    assert _held(project_of(relabelled)) == held
    more = {name: values + _many(300, seed=1)[name] for name, values in table.items()}
    assert _held(project_of(more)) & set(table["x"]) == held
    assert _held(project_of(table), 0.1) < held < _held(project_of(table), 0.5)


def test_by_content_equal_rows_are_on_one_side(project_of: Make) -> None:
    table = _many(300)
    _, parts = _by_content(project_of({name: values * 2 for name, values in table.items()}))
    assert {row % 300 for row in parts.test}.isdisjoint({row % 300 for row in parts.train})


@pytest.mark.parametrize("size", [1e-9, 0.9999])
def test_by_content_a_side_without_rows_is_refused(project_of: Make, size: float) -> None:
    for parts in ({}, {"target": Quantity("x2")}):
        table = _many(60) | {"x2": [float(i) for i in range(60)]}
        with pytest.raises(ParameterError, match=f"Test size {size} "):
            _by_content(project_of(table, **parts), size)


def test_a_project_that_compares_is_split_by_content(project_of: Make) -> None:
    held = {}
    for gates in ((), (NotWorse("accuracy"),)):
        project = project_of(_many(400), gates=gates, row=X)
        for seed in (1, 2):
            plan = resolve_plan(project, TrainingRequest(Path(), seed=seed))
            run = run_training(project, plan, ignore_progress)
            held[len(gates), seed] = {bytes(row) for row in run.holdout.rows}
            assert len(run.holdout) == len(run.split.test)
    assert held[0, 1] != held[0, 2]
    assert held[1, 1] == held[1, 2]
