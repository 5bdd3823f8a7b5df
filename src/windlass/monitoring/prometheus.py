"""Renders the server's metrics as Prometheus text."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from windlass.monitoring.metrics import BUCKET_BOUNDS, Histogram, MetricsSnapshot


@dataclass(frozen=True)
class FeatureAge:
    """The feature snapshot that was materialised last, its view's version, and when, in seconds since 1970.

    `newest` is the day of its newest event. Features are `stale` once they are older than their view allows.
    """

    view_version: str
    snapshot: int
    materialised_at: float
    newest: date | None
    entities: int
    stale: bool

    @property
    def newest_at(self) -> float | None:
        """Start of the newest event's day, in seconds since 1970."""
        if self.newest is None:
            return None
        day = datetime(self.newest.year, self.newest.month, self.newest.day, tzinfo=UTC)
        return day.timestamp()

    def status(self) -> dict[str, Any]:
        """Returns the fields that `/status` shows."""
        return {
            "snapshot": self.snapshot,
            "view_version": self.view_version,
            "materialised_at": self.materialised_at,
            "newest_event": None if self.newest is None else self.newest.isoformat(),
            "entities": self.entities,
            "stale": self.stale,
        }


def feature_age_metrics(ages: Mapping[str, FeatureAge]) -> Iterator[Metric]:
    """Yields one gauge for each figure, over the projects whose features were materialised."""
    for name, text, attribute in (
        ("materialised_timestamp_seconds", "When features were last materialised, since 1970.", "materialised_at"),
        ("newest_event_timestamp_seconds", "The day of the newest event in them, since 1970.", "newest_at"),
        ("snapshot", "The number of the snapshot that they come from.", "snapshot"),
        ("entities", "How many entities have features.", "entities"),
        ("stale", "1 where they are older than their view allows.", "stale"),
    ):  # fmt: skip
        family = GaugeMetricFamily(f"windlass_features_{name}", text, labels=["project"])
        for project, age in sorted(ages.items()):
            value = getattr(age, attribute)
            if value is not None:
                family.add_metric([project], value)
        if family.samples:
            yield family


_NO_FEATURES: Mapping[str, FeatureAge] = MappingProxyType({})
_NO_LEDGERS: Mapping[str, int] = MappingProxyType({})


def render_metrics(
    snapshot: MetricsSnapshot,
    live: Mapping[str, str],
    accept: str,
    started: float,
    features: Mapping[str, FeatureAge] = _NO_FEATURES,
    ledgers: Mapping[str, int] = _NO_LEDGERS,
) -> tuple[bytes, str]:
    """Returns the text of `/metrics` and its content type, negotiated by the `Accept` header.

    `live` maps each ready project to its version, `features` each project with features to their age, `ledgers`
    each project with a ledger to its bytes; `started` is in seconds since 1970.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricFamilies(snapshot, live, started, features, ledgers))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # Accept names a malformed version of the format
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


@dataclass(eq=False)  # the registry hashes it
class _MetricFamilies(Collector):
    snapshot: MetricsSnapshot
    live: Mapping[str, str]
    started: float
    features: Mapping[str, FeatureAge]
    ledgers: Mapping[str, int]

    def collect(self) -> Iterator[Metric]:
        """Yields every metric family, in a fixed order."""
        labels = ["project", "version", "route", "status"]
        latency = HistogramMetricFamily(
            "windlass_request_duration_seconds",
            "Time from a request's first byte to its answer.",
            labels=labels,
        )
        requests = CounterMetricFamily("windlass_requests", "Requests answered.", labels=labels)
        for histogram in self.snapshot.histograms:
            values = [histogram.project, histogram.version, histogram.route, histogram.status]
            latency.add_metric(values, list(_cumulative(histogram)), histogram.seconds)
            requests.add_metric(values, histogram.count)
        yield latency
        yield requests
        yield self._predictions()
        yield from self._unseen_categories()
        live = InfoMetricFamily(
            "windlass_live_version", "The version that answers.", labels=["project"]
        )
        for project, version in sorted(self.live.items()):
            live.add_metric([project], {"version": version})
        yield live
        yield from self._feature_reads()
        yield from feature_age_metrics(self.features)
        yield from self._ledgers()
        yield GaugeMetricFamily(
            "windlass_start_time_seconds",
            "When the server started, since 1970.",
            value=self.started,
        )

    def _predictions(self) -> Metric:
        family = CounterMetricFamily(
            "windlass_predictions",
            "Rows predicted, by predicted class.",
            labels=["project", "version", "label"],
        )
        for (project, version), counts in self.snapshot.predictions.items():
            for label, count in counts.items():
                family.add_metric([project, version, label], count)
        return family

    def _unseen_categories(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "windlass_unseen_categories",
            "Cells of text, in rows predicted, whose category no training row had.",
            labels=["project", "column"],
        )
        totals: dict[tuple[str, str], float] = {}  # over the versions
        for (project, _), counts in self.snapshot.unseen_categories.items():
            for column, count in counts.items():
                totals[project, column] = totals.get((project, column), 0.0) + count
        for (project, column), count in totals.items():
            family.add_metric([project, column], count)
        if family.samples:
            yield family

    def _feature_reads(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "windlass_feature_reads",
            "Entities whose features were requested, by outcome.",
            labels=["project", "result"],
        )
        for project, counts in self.snapshot.reads.items():
            for result, count in counts.items():
                family.add_metric([project, result], count)
        if family.samples:
            yield family

    def _ledgers(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "windlass_ledger_failures",
            "Predictions that were not answered since the ledger could not be written.",
            labels=["project"],
        )
        size = GaugeMetricFamily(
            "windlass_ledger_bytes", "Bytes of the ledger on disk.", labels=["project"]
        )
        for project, count in sorted(self.snapshot.ledger_failures.items()):
            failures.add_metric([project], count)
        for project, size_in_bytes in sorted(self.ledgers.items()):
            size.add_metric([project], size_in_bytes)
        yield from (family for family in (failures, size) if family.samples)


def _cumulative(histogram: Histogram) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, count in zip((*BUCKET_BOUNDS, math.inf), histogram.buckets, strict=True):
        total += count
        yield ("+Inf" if bound == math.inf else repr(bound)), total
