"""Small projects made in the test, so that each rule is broken by exactly one change."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from windlass.core.project import Candidate, Project
from windlass.core.row import Row, column
from windlass.core.target import Classes


class Point(Row):
    x: float = column("First", ge=0, le=100)
    n: int | None = column("Second")
    colour: str | None = column("Third")


class Plain(Candidate, name="plain"):
    C: float = Field(1.0, gt=0)

    def build(self, seed: int) -> Any:
        return LogisticRegression(C=self.C, random_state=seed)


class Other(Candidate, name="other"):
    depth: int = Field(3, ge=1)

    def build(self, seed: int) -> Any:
        return LogisticRegression(random_state=seed)


@pytest.fixture
def table() -> dict[str, list[Any]]:
    """Twenty rows of two classes."""
    return {
        "x": [float(i) for i in range(20)],
        "n": [None if i == 3 else i for i in range(20)],
        "colour": ["red" if i % 2 else None for i in range(20)],
        "kind": ["b" if i < 10 else "a" for i in range(20)],
    }


@pytest.fixture
def project_of() -> Callable[..., Project]:
    """A project over given data; keywords replace its parts."""

    def make(data: Any, **parts: Any) -> Project:
        declared: dict[str, Any] = {
            "name": "points",
            "row": Point,
            "target": Classes("kind", ["b", "a"]),
            "data": data if callable(data) else lambda: data,
            "candidates": [Plain, Other],
        }
        return Project(**declared | parts)

    return make
