"""Log lines of a server: JSON, one for each request, and the rate now and then."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.registry_home import wait_for_log
from tests.support.server import FLOWER, Serve, Server
from tests.support.trained_bundles import BundleOf

from windlass import app
from windlass.core.bundle import Bundle
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes


def requests(server: Server) -> list[dict[str, Any]]:
    """The request lines, once the server has ended and written all of them."""
    assert server.stop() == 0
    return server.lines("request")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_is_one_line(serve: Serve, iris: Path, workers: str) -> None:
    server: Server = serve(iris, options=["--workers", workers])
    headers = {"x-request-id": "mine-1"}
    server.client.post("/predict", json=FLOWER, headers=headers)
    server.client.post("/iris/predict", json={}, headers={"x-request-id": "mine-2"})
    server.client.get("/nowhere/hunter2", headers={"x-request-id": "mine-3"})
    server.client.get("/v2/models/hunter2", headers={"x-request-id": "mine-4"})
    ids = [server.client.post("/predict", json=FLOWER).json()["prediction_id"] for _ in range(300)]
    logged = requests(server)
    names = [line["request_id"] for line in logged if line["request_id"] in set(ids)]
    assert names == ids if workers == "1" else sorted(names) == sorted(ids)
    lines = {line["request_id"]: line for line in logged}
    version = Bundle.open(iris).version
    wanted = {
        "mine-1": ("POST", "/predict", 200, version),
        "mine-2": ("POST", "/predict", 422, version),
        "mine-3": ("GET", "none", 404, ""),
        "mine-4": ("GET", "/v2/models/{model}", 404, ""),
    }
    for name, (method, route, status, live) in wanted.items():
        line = lines[name]
        assert (line["method"], line["route"], line["status"]) == (method, route, status)
        assert line["version"] == live
        assert 0 < line["latency_ms"] < 10_000
        assert line["level"] == "info"
        assert line["time"].endswith("Z")
    assert "hunter2" not in server.log.read_text()


def test_the_level_silences(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris, WINDLASS_LOG_LEVEL="WARNING")
    server.client.post("/predict", json=FLOWER)
    assert server.stop() == 0
    assert server.log.read_text() == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_life_in_json(serve: Serve, bundle_of: BundleOf, workers: str) -> None:
    """From the first line to the last, with everything that goes wrong in between."""
    options = ["--workers", workers, "--allow-pickle"]
    server: Server = serve(bundle_of("mixed"), bundle_of("native"), options=options)
    for body in (b"", b"{", b"\xff"):
        server.client.post("/mixed/predict", content=body)
    for kind in (
        "text/csv",
        "application/vnd.apache.parquet",
        "application/vnd.apache.arrow.stream",
    ):
        for body in (b"a,b\n1,\xff,2\n", b"PAR1" * 9, b"\xff\xff\xff\xff" * 9, b"\xff"):
            answer = server.client.post(
                "/mixed/predict_batch", content=body, headers={"content-type": kind}
            )
            assert answer.status_code in (400, 422)
    server.client.post("/native/predict", json={"petal_length": 1.0, "petal_width": 0.2})
    assert server.stop() == 0
    lines = server.lines()
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)
    ready = [line for line in lines if line["event"] == "version ready"]
    assert {line["project"] for line in ready} == {"mixed", "native"}
    louder = [line["event"] for line in lines if line["level"] != "info"]
    assert set(louder) <= {"gate not passed"}


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(vars(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger("windlass.serving")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_the_rate_line(iris: Path, lines: Lines) -> None:
    telemetry = ServerMetrics(SharedCounters())
    observer = StatusRoutes([ServedProject("iris", None, telemetry)], telemetry)
    observer.log_rate()
    for _ in range(50):
        telemetry.latency("iris", "v1", "/predict", 200).observe(0.004)
        telemetry.latency("iris", "v1", "/predict", 422).observe(0.02)
    observer.log_rate()
    observer.log_rate()
    first, busy, idle = lines.records
    assert [line["msg"] for line in lines.records] == ["rate"] * 3
    assert first["requests"] == 0
    assert first["p50_ms"] is None
    assert busy["requests"] == 100
    assert busy["requests_per_second"] > 0
    assert 2.5 <= busy["p50_ms"] <= 5
    assert 10 <= busy["p99_ms"] <= 25
    assert idle["requests"] == 100
    assert idle["requests_per_second"] == 0
    assert idle["p50_ms"] is None


def test_the_request_rate_is_logged_every_few_seconds(
    serve: Serve, iris: Path, tmp_path: Path
) -> None:
    assert app.RATE_SECONDS == 10.0
    (tmp_path / "sitecustomize.py").write_text(
        "from windlass import app\napp.RATE_SECONDS = 0.05\n"
    )
    server: Server = serve(iris, PYTHONPATH=str(tmp_path))
    assert server.client.post("/predict", json=FLOWER).status_code == 200
    rate = wait_for_log(server, "rate", 3)[-1]
    assert {"requests_per_second", "p50_ms", "p95_ms", "p99_ms", "worker"} <= rate.keys()
