"""A version that is loaded and has proven itself, and the place in the server where one lives."""

import logging
import time
from concurrent.futures import Executor
from time import perf_counter
from typing import Any

import numpy as np
import orjson

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.target import class_key
from windlass.core.validation import RowValidator
from windlass.engines.load import load_engine
from windlass.errors import WindlassError
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.telemetry import Telemetry
from windlass.serving.batching import Batcher
from windlass.serving.problems import Problem, unavailable

INLINE_SECONDS = 0.001  # an engine that takes longer for a row gets a thread of its own
INLINE_ROWS = 64  # a body of more rows is worked off the event loop

_log = logging.getLogger("windlass.serving")


class Model:
    """One version of a project, ready to answer."""

    def __init__(self, bundle: Bundle, telemetry: Telemetry, executor: Executor) -> None:
        self.bundle = bundle
        self.version = bundle.version
        self.engine = load_engine(bundle)
        self.schema = bundle.schema.row
        self.target = bundle.schema.target
        self.validator = RowValidator(self.schema)
        self.classes = self.target.classes
        self.keys = [class_key(label) for label in self.classes or ()]
        self.counts = telemetry.predictions(bundle.manifest.project, self.version, self.keys)
        self.since = time.time()
        self.predict = self.engine.predict
        self.seconds_per_row = self._warm_up()
        self.inline = self.seconds_per_row < INLINE_SECONDS
        self.executor = executor
        self.batcher = Batcher(self.predict, executor)

    def _warm_up(self) -> float:
        """Run golden rows one by one; the quickest tells what a row costs."""
        rows = self.validator.rows(_golden(self.bundle))
        quickest = float("inf")
        for row in (rows * 20)[:20]:
            batch = self.validator.batch([row])
            started = perf_counter()
            self.predict(batch)
            quickest = min(quickest, perf_counter() - started)
        return quickest

    async def run(self, batch: Batch) -> Prediction:
        """Predict a few rows: on the event loop where that is cheap, with whoever waits elsewhere."""
        if self.inline and len(batch) <= INLINE_ROWS:
            return self.predict(batch)
        return await self.batcher.predict(batch)

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
        shares = dict(zip(self.keys, prediction.probabilities[0].tolist(), strict=False))
        return {"predicted_label": label, "prediction": label, "class_probabilities": shares}

    def answers(self, prediction: Prediction) -> dict[str, Any]:
        """The predictions of several rows as `/predict_batch` answers them."""
        if prediction.probabilities is None:
            return {"predictions": self.predictions(prediction)}
        keys = self.keys
        shares = [dict(zip(keys, row, strict=False)) for row in prediction.probabilities.tolist()]
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

    def wanted(self, version: str | None) -> None:
        """Raise Problem 404 unless `version` is None or this one."""
        if version is not None and version != self.version:
            raise Problem(404, "There is no such version here. See /status for the live one.")


def _golden(bundle: Bundle) -> bytes:
    return orjson.dumps(bundle.json("golden.json")["rows"])


class Hosted:
    """A project in this server: its live model, or why there is none yet."""

    def __init__(self, bundle: Bundle, ledger: Ledger | None) -> None:
        self.bundle = bundle
        self.name = bundle.manifest.project
        self.ledger = ledger
        self.model: Model | None = None
        self.reason: str | None = "loading"

    def load(self, telemetry: Telemetry, executor: Executor) -> None:
        """Load, prove and warm up the bundle, then let it answer. A failure is kept as the reason."""
        try:
            self.model = Model(self.bundle, telemetry, executor)
            self.reason = None
        except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the others go on serving
            known = isinstance(error, WindlassError)
            self.reason = str(error) if known else f"{type(error).__name__}: {error}"
            _log.error("version refused", extra={"project": self.name, "reason": self.reason})
            return
        model = self.model
        for gate in self.bundle.manifest.gates:
            if not gate.passed:
                _log.warning("gate not passed", extra={"project": self.name, "rule": gate.rule})
        _log.info(
            "version ready",
            extra={"project": self.name, "version": model.version, "engine": model.engine.name},
        )

    def live(self) -> Model:
        """The live model. Raises Problem 503 where there is none."""
        if self.model is None:
            raise unavailable(f"Project {self.name} is not ready: {self.reason}")
        return self.model
