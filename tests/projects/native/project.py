"""Iris through a step that has no ONNX form, so that the bundle serves natively."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from windlass import Candidate, Classes, Project, Row, column


class Flower(Row):
    """Two measurements of one iris flower."""

    petal_length: float = column("Length of the petal", unit="cm", ge=0.1, le=15, example=1.4)
    petal_width: float = column("Width of the petal", unit="cm", ge=0.1, le=15, example=0.2)


class CubeRoots(Candidate, name="roots"):
    """Logistic regression on cube roots."""

    def build(self, seed: int) -> Pipeline:
        """A function as a step is code, which no graph holds."""
        return make_pipeline(
            FunctionTransformer(np.cbrt),
            StandardScaler(),
            LogisticRegression(max_iter=1000, random_state=seed),
        )


def petals() -> pd.DataFrame:
    """The 150 flowers, with their species as a number."""
    iris = load_iris(as_frame=True)
    rows = iris.data.iloc[:, 2:].set_axis(list(Flower.model_fields), axis="columns")
    flowers: pd.DataFrame = rows.assign(species=iris.target)
    return flowers


project = Project(
    name="native",
    row=Flower,
    target=Classes("species", [0, 1, 2]),
    data=petals,
    candidates=[CubeRoots],
)
