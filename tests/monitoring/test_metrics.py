"""What a server counts, as numbers and as Prometheus text."""

import re
from collections.abc import Callable, Iterator
from datetime import date

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.support.server import FLOWER, Server

from windlass.monitoring.metrics import BUCKET_BOUNDS, READ_RESULTS, ServerMetrics, quantiles
from windlass.monitoring.prometheus import FeatureAge, render_metrics
from windlass.monitoring.shared_counters import SharedCounters

LABELS = {"project", "version", "route", "status", "label", "le", "result"}


def observed(*seconds: float) -> list[tuple[float, ...]]:
    telemetry = ServerMetrics(SharedCounters())
    for value in seconds:
        telemetry.latency("p", "v1", "/r", 200).observe(value)
    return [histogram.buckets for histogram in telemetry.snapshot().histograms]


def test_counts_by_project_version_route_and_status_class() -> None:
    telemetry = ServerMetrics(SharedCounters())
    for status in (200, 204, 404, 422, 503):
        telemetry.latency("iris", "v1", "/predict", status).observe(0.002)
    telemetry.latency("iris", "v2", "/predict", 200).observe(20.0)
    histograms = {(h.version, h.status): h for h in telemetry.snapshot().histograms}
    assert {key: h.count for key, h in histograms.items()} == {
        ("v1", "2xx"): 2, ("v1", "4xx"): 2, ("v1", "5xx"): 1, ("v2", "2xx"): 1,
    }  # fmt: skip
    assert histograms["v1", "2xx"].seconds == pytest.approx(0.004)
    assert histograms["v2", "2xx"].buckets[-1] == 1


def test_predictions_by_class() -> None:
    telemetry = ServerMetrics(SharedCounters())
    telemetry.predictions("iris", "v1", ["a", "b"])[1] += 3
    telemetry.predictions("price", "v1", [""])[0] += 2
    assert telemetry.snapshot().predictions == {
        ("iris", "v1"): {"a": 0.0, "b": 3.0},
        ("price", "v1"): {"": 2.0},
    }


@pytest.mark.parametrize("bound", range(len(BUCKET_BOUNDS)))
def test_a_bound_belongs_to_its_bucket(bound: int) -> None:
    (buckets,) = observed(BUCKET_BOUNDS[bound])
    assert buckets[bound] == 1
    (buckets,) = observed(BUCKET_BOUNDS[bound] * 1.001)
    assert buckets[bound + 1] == 1


def test_quantiles() -> None:
    assert quantiles([], [0.5]) == [None]
    assert quantiles([(0.0,) * (len(BUCKET_BOUNDS) + 1)], [0.5, 0.99]) == [None, None]
    assert quantiles(observed(*[0.0015] * 10), [0.0, 1.0]) == pytest.approx([0.001, 0.0025])
    (median,) = quantiles(observed(*[0.0015] * 10), [0.5])
    assert median == pytest.approx(0.00175)  # half way through the bucket
    assert quantiles(observed(*[0.0004] * 90, *[0.3] * 10), [0.9, 0.95]) == pytest.approx(
        [0.0005, 0.375]
    )
    assert quantiles(observed(100.0), [0.5]) == [BUCKET_BOUNDS[-1]]
    assert quantiles([*observed(0.0004), *observed(0.3)], [0.5, 1.0]) == pytest.approx(
        [0.0005, 0.5]
    )


def text_of(telemetry: ServerMetrics) -> str:
    body, kind = render_metrics(telemetry.snapshot(), {"iris": "v1"}, "text/plain", 1_700_000_000.0)
    assert kind.startswith("text/plain")
    return body.decode()


@pytest.fixture
def telemetry() -> ServerMetrics:
    telemetry = ServerMetrics(SharedCounters())
    telemetry.latency("iris", "v1", "/predict", 200).observe(0.002)
    telemetry.latency("iris", "v1", "/predict", 200).observe(30.0)
    telemetry.predictions("iris", "v1", ['se"t\\o\nsa', "b"])[0] += 2
    return telemetry


def test_exposition(telemetry: ServerMetrics) -> None:
    families = {family.name: family for family in families_of(text_of(telemetry))}
    assert families.keys() == {
        "windlass_request_duration_seconds", "windlass_requests", "windlass_predictions",
        "windlass_live_version_info", "windlass_start_time_seconds",
    }  # fmt: skip
    latency = families["windlass_request_duration_seconds"]
    assert latency.type == "histogram"
    buckets = [s.value for s in latency.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-2:] == [1.0, 2.0]
    assert [s.labels["le"] for s in latency.samples if s.name.endswith("_bucket")][-1] == "+Inf"
    (total,) = [s.value for s in latency.samples if s.name.endswith("_sum")]
    assert total == pytest.approx(30.002)
    assert families["windlass_requests"].samples[0].value == 2
    assert families["windlass_predictions"].samples[0].labels["label"] == 'se"t\\o\nsa'
    assert families["windlass_live_version_info"].samples[0].labels == {
        "project": "iris",
        "version": "v1",
    }
    assert families["windlass_start_time_seconds"].samples[0].value == 1_700_000_000.0


def test_features(telemetry: ServerMetrics) -> None:
    telemetry.feature_reads("loans")[1] += 4
    ages = {
        "loans": FeatureAge("ab", 7, 1_700_000_000.5, date(2020, 12, 30), 36_457, stale=True),
        "empty": FeatureAge("cd", 1, 1_700_000_000.5, None, 0, stale=False),
    }
    body, _ = render_metrics(telemetry.snapshot(), {}, "text/plain", 0.0, ages)
    assert naming_faults(body.decode()) == []
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families_of(body.decode())
        for sample in family.samples
    }
    reads = {
        result: values["windlass_feature_reads_total", "loans", result] for result in READ_RESULTS
    }
    assert reads == {"found": 0, "unknown": 4, "failed": 0}
    assert values["windlass_features_snapshot", "loans"] == 7
    assert values["windlass_features_entities", "loans"] == 36_457
    assert values["windlass_features_materialised_timestamp_seconds", "loans"] == 1_700_000_000.5
    assert values["windlass_features_newest_event_timestamp_seconds", "loans"] == 1_609_286_400
    assert ("windlass_features_newest_event_timestamp_seconds", "empty") not in values
    assert (
        values["windlass_features_stale", "loans"],
        values["windlass_features_stale", "empty"],
    ) == (1, 0)


def test_openmetrics(telemetry: ServerMetrics) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    body, kind = render_metrics(telemetry.snapshot(), {"iris": "v1"}, accept, 0.0)
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    read: Callable[[str], Iterator[Metric]] = openmetrics.text_string_to_metric_families
    assert len(list(read(body.decode()))) == 5


def families_of(text: str) -> list[Metric]:
    families: list[Metric] = list(text_string_to_metric_families(text))
    return families


def naming_faults(text: str) -> list[str]:
    """What `promtool check metrics` would complain of."""
    faults = []
    for family in families_of(text):
        if not re.fullmatch(r"windlass_[a-z_]+", family.name):
            faults.append(f"{family.name}: name")
        if not family.documentation:
            faults.append(f"{family.name}: no help")
        if re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", family.name):
            faults.append(f"{family.name}: no base unit")
        for sample in family.samples:
            if family.type == "counter" and not sample.name.endswith(
                ("_total", "_created", "_info")
            ):
                faults.append(f"{sample.name}: a counter without _total")
            if not sample.labels.keys() <= LABELS:
                faults.append(f"{sample.name}: {sample.labels.keys() - LABELS}")
    return faults


def test_names(telemetry: ServerMetrics, iris_server: Server) -> None:
    assert naming_faults(text_of(telemetry)) == []
    iris_server.client.post("/predict", json=FLOWER)
    assert naming_faults(iris_server.client.get("/metrics").text) == []
    assert (
        naming_faults('# TYPE windlass_time_ms counter\nwindlass_time_ms_total{user="7"} 1\n') != []
    )


def test_labels_are_bounded(iris_server: Server) -> None:
    """Whatever clients ask for, no label takes their word."""
    for number in range(20):
        iris_server.client.get(f"/hunter2-{number}")
        iris_server.client.get(f"/v2/models/hunter2-{number}")
        iris_server.client.post(f"/predict?version=hunter2-{number}", json=FLOWER)
        iris_server.client.request(f"HUNTER{number}"[:7], "/predict")
    assert "hunter2" not in iris_server.client.get("/metrics").text.lower()


def test_every_protocol_counts_for_its_project(iris_server: Server) -> None:
    def count() -> float:
        return float(iris_server.client.get("/status").json()["requests"])

    bodies = {
        "/predict": FLOWER,
        "/v1/models/iris:predict": {"instances": [FLOWER]},
        "/invocations": {"instances": [FLOWER]},
        "/v2/models/iris/infer": {
            "inputs": [
                {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
                for name, value in FLOWER.items()
            ]
        },
    }
    for path, body in bodies.items():
        before = count()
        assert iris_server.client.post(path, json=body).status_code == 200
        assert count() == before + 2, path  # and the status before
