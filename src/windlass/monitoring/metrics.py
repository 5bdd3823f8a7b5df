"""What a server counts: requests and their latency, predictions by class; as Prometheus text and as numbers."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass.monitoring.shared_counters import Numbers, SeriesKey, SharedCounters

# seconds; a quarter of a millisecond is a busy server's median, ten seconds a large batch
BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_SUM = len(BOUNDS) + 1  # after the buckets, the last of which is +Inf
_WIDTH = _SUM + 1

LATENCY = "windlass_request_duration_seconds"
PREDICTIONS = "windlass_predictions_total"
READS = "windlass_feature_reads_total"
READ_RESULTS = ("found", "unknown", "failed")  # of an entity that was asked for


class LatencyCounter:
    """The latency histogram of one (project, version, route, status class)."""

    __slots__ = ("_cells",)

    def __init__(self, cells: Numbers) -> None:
        self._cells = cells

    def observe(self, seconds: float) -> None:
        """Count one request."""
        cells = self._cells
        cells[bisect_left(BOUNDS, seconds)] += 1.0
        cells[_SUM] += seconds


class ServerMetrics:
    """The counters of one worker, and their sums over all workers of the server."""

    def __init__(self, cells: SharedCounters) -> None:
        self._cells = cells
        self._latencies: dict[tuple[str, str, str, int], LatencyCounter] = {}

    def latency(self, project: str, version: str, route: str, status: int) -> LatencyCounter:
        """The histogram to observe a request in."""
        key = (project, version, route, status // 100)
        found = self._latencies.get(key)
        if found is None:
            labels = (LATENCY, project, version, route, f"{status // 100}xx")
            found = self._latencies[key] = LatencyCounter(self._cells.series(labels, _WIDTH))
        return found

    def predictions(self, project: str, version: str, classes: Sequence[str]) -> Numbers:
        """One counter a class, in order; one in all where there are no classes."""
        labels = tuple(classes) or ("",)
        return self._cells.series((PREDICTIONS, project, version, *labels), len(labels))

    def feature_reads(self, project: str) -> Numbers:
        """One counter for each of READ_RESULTS, in order."""
        return self._cells.series((READS, project, *READ_RESULTS), len(READ_RESULTS))

    def snapshot(self) -> "MetricsSnapshot":
        """The sums over all workers, now."""
        return MetricsSnapshot.of(self._cells.sums())


@dataclass(frozen=True)
class Histogram:
    """Requests of one (project, version, route, status class): a count a bucket, and the seconds in all."""

    project: str
    version: str
    route: str
    status: str
    buckets: tuple[float, ...]
    seconds: float

    @property
    def count(self) -> float:
        """Requests in all."""
        return sum(self.buckets)


@dataclass(frozen=True)
class MetricsSnapshot:
    """What all workers counted: `predictions` by (project, version), then by class; `reads` of features by
    project, then by result.
    """

    histograms: tuple[Histogram, ...]
    predictions: dict[tuple[str, str], dict[str, float]]
    reads: dict[str, dict[str, float]]

    @staticmethod
    def of(sums: dict[SeriesKey, list[float]]) -> "MetricsSnapshot":
        """Read the summed cells."""
        histograms, predictions, reads = [], {}, {}
        for key, values in sorted(sums.items()):
            if key[0] == LATENCY:
                project, version, route, status = key[1:]
                buckets = tuple(values[:_SUM])
                histograms.append(Histogram(project, version, route, status, buckets, values[_SUM]))
            elif key[0] == PREDICTIONS:
                predictions[key[1], key[2]] = dict(zip(key[3:], values, strict=True))
            elif key[0] == READS:
                reads[key[1]] = dict(zip(key[2:], values, strict=True))
        return MetricsSnapshot(tuple(histograms), predictions, reads)


def quantiles(buckets: Iterable[Sequence[float]], wanted: Sequence[float]) -> list[float | None]:
    """Latency quantiles in seconds, interpolated within the buckets of several histograms together.

    None where nothing was counted. Above the last bound the last bound is the answer.
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
            if index == len(BOUNDS):
                break
            low = BOUNDS[index - 1] if index else 0.0
            return low + (BOUNDS[index] - low) * (rank - below) / count
        below += count
    return BOUNDS[-1]
