"""Answers of several rows, encoded a few thousand rows at a time: a step does not hold the interpreter for long.

Large parts are joined, and never formatted: a join of megabytes lets go of the interpreter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from windlass.core.batch import Prediction
from windlass.serving.model import ServedModel

STEP_ROWS = 1 << 12


@dataclass(frozen=True)
class BatchAnswer:
    """Predictions of the rows of one request, and the version that made them."""

    model: ServedModel
    prediction: Prediction
    prediction_id: str
    latency_ms: float

    def __len__(self) -> int:
        return len(self.prediction)

    def encode(self) -> bytes:
        """Returns the answer of `/predict_batch`."""
        columns: dict[str, list[bytes]] = {}
        for step in self._steps():
            for name, values in self.model.batch_answer(step).items():
                columns.setdefault(name, []).append(_items(values))
        shared = {
            "model_version": self.model.version,
            "latency_ms": self.latency_ms,
            "prediction_id": self.prediction_id,
        }
        arrays = chain.from_iterable(
            (b'"%b":[' % name.encode(), b",".join(items), b"],") for name, items in columns.items()
        )
        return b"".join((b"{", *arrays, orjson.dumps(shared)[1:]))

    def encode_predictions(self) -> bytes:
        """Returns a JSON array with the prediction of each row."""
        items = [_items(self.model.predictions(step)) for step in self._steps()]
        return b"".join((b"[", b",".join(items), b"]"))

    def encode_probabilities(self) -> bytes:
        """Returns a JSON array with the probabilities of each row in turn, in the order of the classes."""
        items = [
            _items(step.probabilities.ravel().tolist())
            for step in self._steps()
            if step.probabilities is not None
        ]
        return b"".join((b"[", b",".join(items), b"]"))

    def predictions(self) -> Iterator[Any]:
        """Yields the prediction of each row."""
        return chain.from_iterable(map(self.model.predictions, self._steps()))

    def _steps(self) -> Iterator[Prediction]:
        if len(self) <= STEP_ROWS:
            yield self.prediction
            return
        for start in range(0, len(self), STEP_ROWS):
            yield self.prediction.slice(start, start + STEP_ROWS)


def _items(values: list[Any]) -> bytes:
    return orjson.dumps(values)[1:-1]
