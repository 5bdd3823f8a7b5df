"""Groups and days are kept apart, whatever the rows: nothing of a test row's person or time is learned from."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.points_project import Plain, Point

from windlass.core.evaluation_rules import GroupTimeSplit
from windlass.core.project import Project
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError, ParameterError
from windlass.training.dataset import Dataset, read_dataset
from windlass.training.declared_split import split_by_rule
from windlass.training.split import Split

Make = Callable[..., Project]
RULE = GroupTimeSplit("person", "day")
FIRST = date(2020, 1, 1)


def _events(seed: int) -> list[tuple[int, int]]:
    """Up to 120 events: of which person, on which day."""
    random = np.random.default_rng(seed)
    count, people, days = (int(random.integers(2, most)) for most in (120, 40, 60))
    pairs = zip(random.integers(0, people, count), random.integers(0, days, count), strict=True)
    return [(int(person), int(day)) for person, day in pairs]


EVENTS = st.integers(0, 2**32).map(_events)


@pytest.fixture(scope="module")
def dataset_of() -> Callable[[list[tuple[int, int]], Any], tuple[Dataset, Project]]:
    def make(events: list[tuple[int, int]], target: Any = None) -> tuple[Dataset, Project]:
        table = {
            "x": [float(i % 100) for i in range(len(events))],
            "n": [None] * len(events),
            "colour": ["red"] * len(events),
            "amount": np.random.default_rng(len(events)).random(len(events)),
            "person": [f"P{person}" for person, _ in events],
            "day": [FIRST + timedelta(days=day) for _, day in events],
        }
        project = Project(
            name="points",
            row=Point,
            target=target or Quantity("amount"),
            data=lambda: table,
            candidates=[Plain],
            split=RULE,
        )
        return read_dataset(project), project

    return make


def _split(dataset: Dataset, project: Project, size: float) -> Split:
    return split_by_rule(dataset, RULE, project.target, test_size=size)


@examples(60)
@given(events=EVENTS, size=st.floats(0.1, 0.9))
def test_no_person_and_no_day_stands_on_both_sides(
    dataset_of: Any, events: Any, size: float
) -> None:
    dataset, project = dataset_of(events)
    try:
        parts = _split(dataset, project, size)
    except ParameterError:
        assume(False)
    sides = [[events[row] for row in side] for side in (parts.train, parts.test)]
    train, test = sides
    assert train
    assert test
    assert {person for person, _ in train}.isdisjoint({person for person, _ in test})
    assert max(day for _, day in train) < min(day for _, day in test)


@examples(30)
@given(events=EVENTS, more=EVENTS)
def test_a_person_keeps_their_side_when_others_are_added(
    dataset_of: Any, events: Any, more: Any
) -> None:
    everyone = [events, [*events, *more]]
    held = []
    for rows in everyone:
        dataset, project = dataset_of(
            [*rows, *((person, 90 + person) for person in range(200, 240))]
        )
        parts = _split(dataset, project, 0.5)
        people = dataset.extra_columns["person"].to_pylist()
        held.append(
            {side: {people[row] for row in getattr(parts, side)} for side in ("train", "test")}
        )
    assert held[0]["train"].isdisjoint(held[1]["test"])
    assert held[0]["test"].isdisjoint(held[1]["train"])


def test_about_the_share_of_groups_and_of_days_is_held_out(dataset_of: Any) -> None:
    random = np.random.default_rng(2)
    events = list(zip(random.integers(0, 2000, 20000), random.integers(0, 700, 20000), strict=True))
    dataset, project = dataset_of([(int(person), int(day)) for person, day in events])
    parts = _split(dataset, project, 0.3)
    assert parts.method == "declared"
    assert len(parts.test) == pytest.approx(0.09 * 20000, rel=0.1)
    assert len(parts.train) == pytest.approx(0.49 * 20000, rel=0.1)


@pytest.mark.parametrize(("side", "better"), [("test", "larger"), ("training", "smaller")])
def test_a_side_without_a_positive_row_is_refused(project_of: Make, side: str, better: str) -> None:
    kinds = ["b"] * 120 + ["a", "b"] * 40
    table = {
        "x": [1.0] * 200,
        "n": [1] * 200,
        "colour": ["red"] * 200,
        "kind": kinds if side == "training" else kinds[::-1],  # late or early ones of class a
        "person": [f"P{i % 17}" for i in range(200)],
        "day": [FIRST + timedelta(days=i) for i in range(200)],
    }
    project = project_of(table, split=RULE)
    message = rf"{side} rows, none of class 'a' of kind. Choose a {better}"
    with pytest.raises(ParameterError, match=message):
        _split(read_dataset(project), project, 0.45)


@pytest.mark.parametrize("size", [1e-9, 0.9999])
def test_a_side_without_rows_is_refused(dataset_of: Any, size: float) -> None:
    dataset, project = dataset_of([(person, person % 9) for person in range(60)])
    with pytest.raises(ParameterError, match=f"Test size {size} "):
        _split(dataset, project, size)


def test_one_day_is_not_divided(dataset_of: Any) -> None:
    dataset, project = dataset_of([(person, 0) for person in range(60)])
    with pytest.raises(ParameterError, match="holds out 0 of 60 rows"):
        _split(dataset, project, 0.5)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("person", [None, *"abcdefghijklmnopqrs"], r"'person' .* is missing in 1 of 20 rows"),
        ("day", [None] * 20, r"'day' .* is missing in 20 of 20 rows"),
        ("day", ["soon"] * 20, r"'day' .* cannot be read as dates"),
        ("person", [[1]] * 20, r"'person' .* cannot be read as text"),
    ],
)
def test_the_columns_of_the_split_must_exist(
    project_of: Make, table: Any, column: str, values: Any, message: str
) -> None:
    table |= {"person": ["P"] * 20, "day": [FIRST] * 20} | {column: values}
    with pytest.raises(DataError, match=message):
        read_dataset(project_of(table, split=RULE))


def test_a_column_that_data_does_not_return_is_named(project_of: Make, table: Any) -> None:
    with pytest.raises(DataError, match="0 columns 'person'"):
        read_dataset(project_of(table, split=RULE))
