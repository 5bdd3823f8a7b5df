"""The same model behind BentoML, one worker: `bentoml serve bentoml_joblib:Iris`. MODEL names the pickle."""
# mypy: disable-error-code="import-not-found,untyped-decorator"
# BentoML is not installed where this is checked.

import os

import bentoml
import joblib


@bentoml.service(workers=1)
class Iris:
    """Scores one list of four measurements."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api
    def predict(self, row: list[float]) -> dict[str, object]:
        """Returns the most probable class, and the probability of each."""
        classes = self.model.classes_.tolist()
        shares = self.model.predict_proba([row])[0].tolist()
        return {
            "predicted_label": classes[shares.index(max(shares))],
            "class_probabilities": dict(zip(classes, shares, strict=True)),
        }
