"""Targets of a project: classes, or a quantity."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from windlass.errors import ProjectError

Label = str | int | bool


def class_key(label: Label) -> str:
    """Returns a class label as text, for JSON keys, column names and metric names."""
    return label if isinstance(label, str) else json.dumps(label)


@dataclass(frozen=True)
class Classes:
    """Target of a classification: its column, and its classes in the order of all probabilities.

    Raises ProjectError for fewer than two classes, equal ones, or labels of different types.
    """

    name: str
    labels: tuple[Label, ...]

    def __init__(self, name: str, labels: Sequence[Label]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "labels", tuple(labels))
        if len({str(label) for label in self.labels}) < len(self.labels) or len(self.labels) < 2:
            raise ProjectError(
                f"Target {name!r} needs two or more different classes, got {list(labels)!r}."
            )
        if len({type(label) for label in self.labels}) > 1:
            raise ProjectError(
                f"The classes of target {name!r} must all be of one type, got {list(labels)!r}."
            )


@dataclass(frozen=True)
class Quantity:
    """Target of a regression: its column and its unit."""

    name: str
    unit: str | None = None


Target = Classes | Quantity
