"""Server metrics: request counts and latency histograms, predictions by class, feature reads."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from windlass.monitoring.shared_counters import Numbers, SeriesKey, SharedCounters

# seconds; the median of a busy server is a quarter of a millisecond, a large batch takes ten seconds
BUCKET_BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_SUM = len(BUCKET_BOUNDS) + 1  # after the buckets, the last of which is +Inf
_WIDTH = _SUM + 1

LATENCY_SERIES = "windlass_request_duration_seconds"
PREDICTIONS_SERIES = "windlass_predictions_total"
READS_SERIES = "windlass_feature_reads_total"
LEDGER_FAILURES_SERIES = "windlass_ledger_failures_total"
UNSEEN_SERIES = "windlass_unseen_categories_total"
READ_RESULTS = ("found", "unknown", "failed")  # outcomes of one entity's lookup


class LatencyCounter:
    """Latency histogram of one (project, version, route, status class)."""

    __slots__ = ("_cells",)

    def __init__(self, cells: Numbers) -> None:
        self._cells = cells

    def observe(self, seconds: float) -> None:
        """Counts one request that took so many seconds."""
        cells = self._cells
        cells[bisect_left(BUCKET_BOUNDS, seconds)] += 1.0
        cells[_SUM] += seconds


class UnseenCounter:
    """Counters of cells, one for each text column of a version, whose category no training row had.

    For any thread: rows are predicted on several.
    """

    __slots__ = ("_cells", "_lock")

    def __init__(self, cells: Numbers, lock: Lock) -> None:
        self._cells, self._lock = cells, lock

    def add(self, index: int, count: int) -> None:
        """Counts cells of the column at this index."""
        with self._lock:
            self._cells[index] += count


class ServerMetrics:
    """Counters of this worker process, and their sums over all workers of the server."""

    def __init__(self, counters: SharedCounters) -> None:
        self._counters = counters
        self._latencies: dict[tuple[str, str, str, int], LatencyCounter] = {}
        self._unseen_lock = Lock()

    def latency(self, project: str, version: str, route: str, status: int) -> LatencyCounter:
        """Returns the histogram for requests of these labels; `status` is the HTTP status."""
        key = (project, version, route, status // 100)
        counter = self._latencies.get(key)
        if counter is None:
            labels = (LATENCY_SERIES, project, version, route, f"{status // 100}xx")
            counter = self._latencies[key] = LatencyCounter(self._counters.series(labels, _WIDTH))
        return counter

    def predictions(self, project: str, version: str, labels: Sequence[str]) -> Numbers:
        """Returns one counter for each label, in order: a predicted class, or "" for every row."""
        return self._counters.series((PREDICTIONS_SERIES, project, version, *labels), len(labels))

    def feature_reads(self, project: str) -> Numbers:
        """Returns one counter for each of READ_RESULTS, in order."""
        return self._counters.series((READS_SERIES, project, *READ_RESULTS), len(READ_RESULTS))

    def ledger_failures(self, project: str) -> Numbers:
        """Returns the counter of failed appends to a project's ledger, one cell."""
        return self._counters.series((LEDGER_FAILURES_SERIES, project), 1)

    def unseen_categories(
        self, project: str, version: str, columns: Sequence[str]
    ) -> UnseenCounter:
        """Returns the counter of categories that a version was not trained on, by column, in order."""
        cells = self._counters.series((UNSEEN_SERIES, project, version, *columns), len(columns))
        return UnseenCounter(cells, self._unseen_lock)

    def snapshot(self) -> "MetricsSnapshot":
        """Returns the sums over all workers."""
        return MetricsSnapshot.from_sums(self._counters.sums())


@dataclass(frozen=True)
class Histogram:
    """Request counts of one (project, version, route, status class), by latency bucket; `seconds` is their sum."""

    project: str
    version: str
    route: str
    status: str
    buckets: tuple[float, ...]
    seconds: float

    @property
    def count(self) -> float:
        """Number of requests."""
        return sum(self.buckets)


@dataclass(frozen=True)
class MetricsSnapshot:
    """Counts over all workers at one time.

    `predictions` are by (project, version), then by class, "" for every row; `reads` of features by project, then
    by result; `ledger_failures` are by project; `unseen_categories` are by (project, version), then by column.
    """

    histograms: tuple[Histogram, ...]
    predictions: dict[tuple[str, str], dict[str, float]]
    reads: dict[str, dict[str, float]]
    ledger_failures: dict[str, float]
    unseen_categories: dict[tuple[str, str], dict[str, float]]

    @staticmethod
    def from_sums(sums: dict[SeriesKey, list[float]]) -> "MetricsSnapshot":
        """Builds the snapshot from the summed series of the workers."""
        histograms, predictions, reads, failures, unseen = [], {}, {}, {}, {}
        for key, values in sorted(sums.items()):
            if key[0] == LATENCY_SERIES:
                project, version, route, status = key[1:]
                buckets = tuple(values[:_SUM])
                histograms.append(Histogram(project, version, route, status, buckets, values[_SUM]))
            elif key[0] == PREDICTIONS_SERIES:
                predictions[key[1], key[2]] = dict(zip(key[3:], values, strict=True))
            elif key[0] == READS_SERIES:
                reads[key[1]] = dict(zip(key[2:], values, strict=True))
            elif key[0] == LEDGER_FAILURES_SERIES:
                failures[key[1]] = values[0]
            elif key[0] == UNSEEN_SERIES:
                unseen[key[1], key[2]] = dict(zip(key[3:], values, strict=True))
        return MetricsSnapshot(tuple(histograms), predictions, reads, failures, unseen)


def quantiles(buckets: Iterable[Sequence[float]], wanted: Sequence[float]) -> list[float | None]:
    """Returns latency quantiles in seconds over several histograms together, interpolated within a bucket.

    `wanted` are the quantiles, from 0 to 1. A value is None where nothing was counted, and the last bucket's lower
    bound where the quantile lies beyond it.
    """
    total = [sum(column) for column in zip(*buckets, strict=True)]
    count = sum(total)
    if not count:
        return [None for _ in wanted]
    return [_quantile(total, share * count) for share in wanted]


def _quantile(counts: Sequence[float], rank: float) -> float:
    below = 0.0
    for index, count in enumerate(counts):
        if count and below + count >= rank:
            if index == len(BUCKET_BOUNDS):
                break
            low = BUCKET_BOUNDS[index - 1] if index else 0.0
            return low + (BUCKET_BOUNDS[index] - low) * (rank - below) / count
        below += count
    return BUCKET_BOUNDS[-1]
