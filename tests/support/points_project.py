"""Row and candidates of a small project, which tests declare with one thing changed."""

from typing import Any

from pydantic import Field
from sklearn.linear_model import LogisticRegression

from windlass.core.project import Candidate
from windlass.core.row import Row, column


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
