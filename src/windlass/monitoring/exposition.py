"""A server's counters as Prometheus text."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

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

from windlass.monitoring.feature_age import FeatureAge, age_families
from windlass.monitoring.telemetry import BOUNDS, Histogram, Snapshot

_NONE: Mapping[str, FeatureAge] = MappingProxyType({})


def expose(
    snapshot: Snapshot,
    live: Mapping[str, str],
    accept: str,
    started: float,
    features: Mapping[str, FeatureAge] = _NONE,
) -> tuple[bytes, str]:
    """The text of `/metrics` and its content type.

    `live` names the version of each ready project, `features` how fresh those of each project are that has any.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(snapshot, live, started, features))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in Accept that is none
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


class _Families(Collector):
    def __init__(
        self,
        snapshot: Snapshot,
        live: Mapping[str, str],
        started: float,
        features: Mapping[str, FeatureAge],
    ) -> None:
        self._snapshot = snapshot
        self._live = live
        self._started = started
        self._features = features

    def collect(self) -> Iterator[Metric]:
        """Every family, in a fixed order."""
        labels = ["project", "version", "route", "status"]
        latency = HistogramMetricFamily(
            "windlass_request_duration_seconds",
            "Time from a request's first byte to its answer.",
            labels=labels,
        )
        requests = CounterMetricFamily("windlass_requests", "Requests answered.", labels=labels)
        for histogram in self._snapshot.histograms:
            values = [histogram.project, histogram.version, histogram.route, histogram.status]
            latency.add_metric(values, list(_cumulative(histogram)), histogram.seconds)
            requests.add_metric(values, histogram.count)
        yield latency
        yield requests
        yield self._predictions()
        live = InfoMetricFamily(
            "windlass_live_version", "The version that answers.", labels=["project"]
        )
        for project, version in sorted(self._live.items()):
            live.add_metric([project], {"version": version})
        yield live
        yield from self._feature_reads()
        yield from age_families(self._features)
        yield GaugeMetricFamily(
            "windlass_start_time_seconds",
            "When the server started, since 1970.",
            value=self._started,
        )

    def _predictions(self) -> Metric:
        family = CounterMetricFamily(
            "windlass_predictions",
            "Rows predicted, by predicted class.",
            labels=["project", "version", "label"],
        )
        for (project, version), counts in self._snapshot.predictions.items():
            for label, count in counts.items():
                family.add_metric([project, version, label], count)
        return family

    def _feature_reads(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "windlass_feature_reads",
            "Entities whose features were asked for, by what came of it.",
            labels=["project", "result"],
        )
        for project, counts in self._snapshot.reads.items():
            for result, count in counts.items():
                family.add_metric([project, result], count)
        if family.samples:
            yield family


def _cumulative(histogram: Histogram) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, count in zip((*BOUNDS, math.inf), histogram.buckets, strict=True):
        total += count
        yield ("+Inf" if bound == math.inf else repr(bound)), total
