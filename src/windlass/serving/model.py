"""A version that is loaded and has proven itself, ready to answer."""

from time import perf_counter
from typing import Any

import numpy as np
import orjson

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.row_validator import RowValidator
from windlass.core.target import class_key
from windlass.engines.loader import check_reference_examples, open_engine
from windlass.monitoring.metrics import ServerMetrics
from windlass.serving.batching import prediction_batcher
from windlass.web.offload import DaemonExecutor

INLINE_SECONDS = 0.001  # an engine that takes longer for a row gets a thread of its own
INLINE_ROWS = 64  # a body of more rows is worked off the event loop


class ServedModel:
    """One version of a project. Everything it needs is in memory; its bundle may go."""

    def __init__(self, bundle: Bundle, executor: DaemonExecutor) -> None:
        """Load, prove and warm up; `load_seconds` and `test_seconds` say how long that took."""
        started = perf_counter()
        self.bundle = bundle
        self.version = bundle.version
        self.view = _view(bundle)
        self.engine = open_engine(bundle)
        loaded = perf_counter()
        check_reference_examples(bundle, self.engine)
        self.schema = bundle.schema.row
        self.target = bundle.schema.target
        self.validator = RowValidator(self.schema)
        self.classes = self.target.classes
        self.keys = [class_key(label) for label in self.classes or ()]
        self.predict = self.engine.predict
        self.seconds_per_row = self._warm_up()
        self.inline = self.seconds_per_row < INLINE_SECONDS
        self.executor = executor
        self.batcher = prediction_batcher(self.predict, executor)
        self.counts = memoryview(bytearray(8 * max(len(self.keys), 1))).cast("d")
        self.load_seconds = loaded - started
        self.test_seconds = perf_counter() - loaded

    def count_in(self, telemetry: ServerMetrics) -> None:
        """Count among all that the server counts. On the event loop, before the first request."""
        self.counts = telemetry.predictions(self.bundle.manifest.project, self.version, self.keys)

    def _warm_up(self) -> float:
        """Run reference examples one by one; the quickest tells what a row costs."""
        rows = self.validator.parse_rows(_golden(self.bundle))
        quickest = float("inf")
        for row in (rows * 20)[:20]:
            batch = self.validator.to_batch([row])
            started = perf_counter()
            self.predict(batch)
            quickest = min(quickest, perf_counter() - started)
        return quickest

    async def run(self, batch: Batch) -> Prediction:
        """Predict a few rows: on the event loop where that is cheap, with whoever waits elsewhere."""
        if self.inline and len(batch) <= INLINE_ROWS:
            return self.predict(batch)
        return await self.batcher.submit(batch)

    def answer(self, prediction: Prediction) -> dict[str, Any]:
        """The prediction of a single row as `/predict` answers it."""
        if prediction.values is not None:
            self.counts[0] += 1.0
            return {"prediction": prediction.values.item(0)}
        assert self.classes is not None
        assert prediction.labels is not None
        assert prediction.probabilities is not None
        index = prediction.labels.item(0)
        self.counts[index] += 1.0
        label = self.classes[index]
        (shares,) = by_class(self.keys, prediction.probabilities.tolist())
        return {"predicted_label": label, "prediction": label, "class_probabilities": shares}

    def answers(self, prediction: Prediction) -> dict[str, Any]:
        """The predictions of several rows as `/predict_batch` answers them."""
        if prediction.probabilities is None:
            return {"predictions": self.predictions(prediction)}
        shares = by_class(self.keys, prediction.probabilities.tolist())
        return {"predictions": self.predictions(prediction), "class_probabilities": shares}

    def predictions(self, prediction: Prediction) -> list[Any]:
        """A label or a value for each row."""
        if prediction.values is not None:
            values: list[float] = prediction.values.tolist()
            return values
        assert self.classes is not None
        assert prediction.labels is not None
        return list(map(self.classes.__getitem__, prediction.labels.tolist()))

    def count(self, prediction: Prediction) -> None:
        """Count what was predicted. On the event loop only: an addition is not atomic."""
        if prediction.labels is None:
            self.counts[0] += len(prediction)
            return
        for index, count in enumerate(np.bincount(prediction.labels, minlength=len(self.keys))):
            self.counts[index] += count


def by_class(keys: list[str], rows: list[list[float]]) -> list[dict[str, float]]:
    """The numbers of each row by class. Two and three classes are spelled out, which takes a third of the time."""
    match keys:
        case [one, two]:
            return [{one: a, two: b} for a, b in rows]
        case [one, two, three]:
            return [{one: a, two: b, three: c} for a, b, c in rows]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _view(bundle: Bundle) -> str | None:
    """The version of the feature view that it was trained on; None where the bundle does not say."""
    params = bundle.json("params.json") if "params.json" in bundle.manifest.files else {}
    view: str | None = params.get("view")
    return view


def _golden(bundle: Bundle) -> bytes:
    return orjson.dumps(bundle.json("golden.json")["rows"])
