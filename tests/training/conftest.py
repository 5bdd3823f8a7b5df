"""Small projects made in the test, so that each rule is broken by exactly one change."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.points_project import Other, Plain, Point

from windlass.core.project import Project
from windlass.core.targets.classes import Classes


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
