"""The protocol of an engine: what turns rows into predictions."""

from typing import Protocol

from windlass.core.batch import Batch, Prediction


class Engine(Protocol):
    """Laws: the same rows give the same prediction, alone or in a batch; safe to call from several threads."""

    name: str

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows. Raises EngineError where the model fails."""
        ...
