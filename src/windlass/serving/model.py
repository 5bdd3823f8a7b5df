"""A loaded version that has reproduced its reference examples and is ready to answer."""

from collections.abc import Sequence
from time import perf_counter

import orjson

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle
from windlass.core.row_validator import RowValidator
from windlass.engines.loader import check_reference_examples, open_engine
from windlass.engines.rejection import RejectionExplainer
from windlass.errors import Fault
from windlass.monitoring.metrics import ServerMetrics
from windlass.serving.batching import prediction_batcher
from windlass.serving.unseen_categories import SeenCategories, UnseenCategories
from windlass.web.offload import DaemonExecutor

INLINE_SECONDS = 0.001  # an engine that takes longer for one row runs on a thread
INLINE_ROWS = 64  # more rows are predicted off the event loop


class ServedModel:
    """One version of a project, whole in memory: its bundle may be removed."""

    def __init__(self, bundle: Bundle, executor: DaemonExecutor) -> None:
        """Loads, checks against the reference examples and warms up; `load_seconds` and `test_seconds` are the times.

        Raises IntegrityError or EngineError.
        """
        started = perf_counter()
        self.bundle = bundle
        self.version = bundle.version
        self.view_version = _view_version(bundle)
        self.engine = open_engine(bundle)
        loaded = perf_counter()
        check_reference_examples(bundle, self.engine)
        self.schema = bundle.schema.row
        self.target = bundle.target
        self.validator = RowValidator(self.schema)
        self.max_row_bytes = self.schema.json_limit
        self.counters = self.target.counters()
        # without a look-up in the target, and without a call where one counter counts a row
        self.row_answer = self.target.row_answer
        self.counts_label = self.target.KIND is None
        self.seen_categories = SeenCategories(bundle)
        self._unseen: UnseenCategories | None = None  # nothing is counted before `use_metrics`
        self._rejections = RejectionExplainer(self.engine.predict, bundle)
        self.seconds_per_row = self._warm_up()
        self.inline = self.seconds_per_row < INLINE_SECONDS
        self.executor = executor  # for long work, while the event loop answers other requests
        self.batcher = prediction_batcher(self.engine.predict, executor)
        self.counts = memoryview(bytearray(8 * len(self.counters))).cast("d")
        self.load_seconds = loaded - started
        self.test_seconds = perf_counter() - loaded

    def use_metrics(self, metrics: ServerMetrics) -> None:
        """Counts predictions in the server's metrics; called on the event loop, before the first request."""
        project = self.bundle.manifest.project
        self.counts = metrics.predictions(project, self.version, self.counters)
        self._unseen = self.seen_categories.counter(metrics, project, self.version)

    def _warm_up(self) -> float:
        """Predicts reference rows one by one; returns the seconds of the quickest call."""
        rows = self.validator.parse_rows(orjson.dumps(self.bundle.json("golden.json")["rows"]))
        quickest = float("inf")
        for row in (rows * 20)[:20]:
            batch = self.validator.to_batch([row])
            started = perf_counter()
            self.predict(batch)
            quickest = min(quickest, perf_counter() - started)
        return quickest

    def predict(self, batch: Batch) -> Prediction:
        """Predicts rows on this thread. Raises RejectedRowsError."""
        prediction = self.engine.predict(batch)
        if not prediction.is_finite():
            raise self._rejections.error(batch, prediction)
        if self._unseen is not None:
            self._unseen.count(batch)
        return prediction

    def predict_each(self, batch: Batch) -> tuple[Prediction, dict[int, list[Fault]]]:
        """Predicts rows on this thread; also returns the faults of each row that the model rejects."""
        prediction = self.engine.predict(batch)
        faults: dict[int, list[Fault]] = {}
        if not prediction.is_finite():
            for each in self._rejections.explain(batch, ~prediction.finite_rows()):
                faults.setdefault(each.row, []).append(each.fault)
        if self._unseen is not None:
            self._unseen.count(batch.take(prediction.finite_rows()) if faults else batch)
        return prediction, faults

    def predict_chunks(self, batches: Sequence[Batch]) -> list[Prediction]:
        """Predicts the rows of a request on this thread, batch by batch. Raises RejectedRowsError."""
        predictions = [self.engine.predict(batch) for batch in batches]
        if not all(prediction.is_finite() for prediction in predictions):
            raise self._rejections.error(Batch.concat(batches), Prediction.concat(predictions))
        if self._unseen is not None:
            for batch in batches:
                self._unseen.count(batch)
        return predictions

    async def predict_async(self, batch: Batch) -> Prediction:
        """Predicts a few rows: on the event loop where that is cheap, else on a thread, batched with other requests.

        Raises RejectedRowsError.
        """
        if self.inline and len(batch) <= INLINE_ROWS:
            return self.predict(batch)
        prediction = await self.batcher.submit(batch)
        if not prediction.is_finite():
            raise await self.executor.run(self._rejections.error, batch, prediction)
        if self._unseen is not None:
            self._unseen.count(batch)
        return prediction

    def count(self, prediction: Prediction) -> None:
        """Counts the predictions.

        Called on the event loop only: an addition is not atomic.
        """
        for index, count in enumerate(self.target.count(prediction)):
            self.counts[index] += count


def _view_version(bundle: Bundle) -> str | None:
    """Returns the version of the feature view that it was trained on; None where the bundle does not say."""
    params = bundle.json("params.json") if "params.json" in bundle.manifest.files else {}
    view: str | None = params.get("view")
    return view
