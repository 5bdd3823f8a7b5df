"""Answers of several rows, encoded a few thousand rows at a time: a step does not hold the interpreter for long.

Large parts are joined, and never formatted: a join of megabytes lets go of the interpreter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from windlass.core.batch import Prediction
from windlass.core.targets.target import OutputArray
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
            for name, values in self.model.target.batch_answer(step).items():
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

    def encode_instances(self) -> bytes:
        """Returns a JSON array with one value for each row, for protocols that have a single list of predictions."""
        items = [_items(self.model.target.instances(step)) for step in self._steps()]
        return b"".join((b"[", b",".join(items), b"]"))

    def encode_array(self, index: int) -> bytes:
        """Returns a JSON array with the values of one of the target's arrays, of each row in turn."""
        items = [_items(array_values(self.arrays(step)[index])) for step in self._steps()]
        return b"".join((b"[", b",".join(items), b"]"))

    def arrays(self, prediction: Prediction | None = None) -> tuple[OutputArray, ...]:
        """Returns the target's arrays of all rows, or of these."""
        return self.model.target.arrays(self.prediction if prediction is None else prediction)

    def instances(self) -> Iterator[Any]:
        """Yields one value for each row, for protocols that have a single list of predictions."""
        return chain.from_iterable(map(self.model.target.instances, self._steps()))

    def _steps(self) -> Iterator[Prediction]:
        if len(self) <= STEP_ROWS:
            yield self.prediction
            return
        for start in range(0, len(self), STEP_ROWS):
            yield self.prediction.slice(start, start + STEP_ROWS)


def array_values(array: OutputArray) -> list[Any]:
    """Returns the values of an array of predictions, of each row in turn: labels of classes, else numbers."""
    values: list[Any] = array.values.ravel().tolist()
    return values if array.classes is None else list(map(array.classes.__getitem__, values))


def _items(values: list[Any]) -> bytes:
    return orjson.dumps(values)[1:-1]
