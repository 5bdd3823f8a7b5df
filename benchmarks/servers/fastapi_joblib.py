"""A service written by hand, and well: FastAPI, pydantic, a pickled pipeline. MODEL names the pickle."""

import os
from typing import Annotated

import joblib
from fastapi import FastAPI
from pydantic import BaseModel, Field

Length = Annotated[float, Field(ge=0.1, le=15)]


class Flower(BaseModel):
    """The four measurements, in cm."""

    sepal_length: Length
    sepal_width: Length
    petal_length: Length
    petal_width: Length

    def values(self) -> list[float]:
        """Returns the measurements in the order of the training columns."""
        return [self.sepal_length, self.sepal_width, self.petal_length, self.petal_width]


class Prediction(BaseModel):
    """The most probable species, and the probability of each."""

    predicted_label: str
    class_probabilities: dict[str, float]


class Predictions(BaseModel):
    """Predictions of many rows, in their order."""

    predictions: list[str]
    class_probabilities: list[dict[str, float]]


model = joblib.load(os.environ["MODEL"])
classes: list[str] = model.classes_.tolist()
app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    """Answers 200 when the model is loaded."""
    return {"status": "ok"}


@app.post("/predict")
def predict(flower: Flower) -> Prediction:
    """Predicts one row. As a plain function, FastAPI runs it on a thread and does not block the event loop."""
    shares = model.predict_proba([flower.values()])[0].tolist()
    return Prediction(
        predicted_label=classes[shares.index(max(shares))],
        class_probabilities=dict(zip(classes, shares, strict=True)),
    )


@app.post("/predict_batch")
def predict_batch(flowers: list[Flower]) -> Predictions:
    """Predicts many rows in one call of the pipeline."""
    shares = model.predict_proba([flower.values() for flower in flowers])
    return Predictions(
        predictions=[classes[best] for best in shares.argmax(axis=1).tolist()],
        class_probabilities=[dict(zip(classes, row, strict=True)) for row in shares.tolist()],
    )
