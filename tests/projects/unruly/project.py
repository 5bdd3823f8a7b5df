"""A project whose training does what a hyperparameter says: fit, wait, raise, or end its process."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from windlass import Candidate, Classes, Gate, Project, Row, column

HERE = Path(__file__).parent


class Point(Row):
    """A point."""

    x: float = column("Where", ge=-10, le=10, example=1.0)


class Model(Candidate, name="model"):
    """A logistic regression, and a deed that comes before it is fitted."""

    deed: Literal[
        "fit", "wait", "raise", "memory", "leave", "kill", "print", "scribble", "quit"
    ] = Field("fit", description="What to do first")
    C: float = Field(1.0, gt=0, description="Inverse strength of the regularisation")

    def build(self, seed: int) -> LogisticRegression:
        """The estimator, after the deed."""
        (HERE / "began").write_text(str(os.getpid()))
        if self.deed == "wait":
            while not (HERE / "go").exists():
                time.sleep(0.01)
        elif self.deed == "raise":
            raise ValueError("the moon is in the wrong house")
        elif self.deed == "memory":
            raise MemoryError
        elif self.deed == "leave":
            os.write(2, b"last words\n")
            os._exit(3)
        elif self.deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.deed == "print":
            os.write(1, b"{not json\n")
            os.write(1, b"hello from the fit\n")
        elif self.deed == "scribble":
            for descriptor in range(3, 20):
                with suppress(OSError):
                    os.write(descriptor, b"\xff not ours\n")
        elif self.deed == "quit":
            raise SystemExit(0)
        return LogisticRegression(C=self.C, random_state=seed)


def points() -> pd.DataFrame:
    """A hundred points on a line."""
    x = [index / 10 - 5 for index in range(100)]
    return pd.DataFrame({"x": x, "side": ["left" if value < 0 else "right" for value in x]})


project = Project(
    name=HERE.name,
    row=Point,
    target=Classes("side", ["left", "right"]),
    data=points,
    candidates=[Model],
    gates=[Gate("accuracy", at_least=0.5)],
    policy="automatic",
    accept=["leaking_column:x"],  # the side follows from x: all that the tests need of the model
)
