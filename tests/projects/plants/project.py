"""Iris plants: the species, and the width of a petal, from the other measurements."""

from typing import Any

import pandas as pd
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from windlass import Candidate, Classes, Gate, NotWorse, Outputs, Project, Quantity, Row, column


class Plant(Row):
    """Three measurements of a plant."""

    sepal_length: float = column("Length of a sepal", unit="cm", ge=0, le=20)
    sepal_width: float = column("Width of a sepal", unit="cm", ge=0, le=20)
    petal_length: float = column("Length of a petal", unit="cm", ge=0, le=20)


class Linear(Candidate, name="linear"):
    """A linear model for each output."""

    def build(self, seed: int) -> dict[str, Any]:
        """One estimator for each output, by its name."""
        return {"species": LogisticRegression(), "petal_width": Ridge()}


class Mixed(Candidate, name="mixed"):
    """Trees for the species, a linear model for the width."""

    def build(self, seed: int) -> dict[str, Any]:
        """One estimator for each output, by its name."""
        return {
            "species": RandomForestClassifier(20, random_state=seed),
            "petal_width": Ridge(alpha=10),
        }


def plants() -> pd.DataFrame:
    """150 plants."""
    data = load_iris(as_frame=True)
    frame: pd.DataFrame = data.data.rename(
        columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_")
    )
    return frame.assign(species=data.target_names[data.target])


project = Project(
    name="plants",
    row=Plant,
    target=Outputs(
        [
            Classes("species", ["setosa", "versicolor", "virginica"]),
            Quantity("petal_width", unit="cm"),
        ]
    ),
    data=plants,
    candidates=[Linear, Mixed],
    gates=[
        Gate("species_accuracy", at_least=0.8),
        Gate("petal_width_mae", at_most=0.3),
        NotWorse("species_accuracy"),
        NotWorse("petal_width_r2"),
    ],
)
