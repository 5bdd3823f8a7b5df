"""Several workers on one port: one set of metrics, and a worker that dies is replaced and loses no count."""

import json
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.support.load_clients import Load
from tests.support.server import FLOWER, TIMEOUT, Serve, Server, post
from tests.support.waiting import wait_until


def counted(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels."""
    text = httpx.get(
        f"{server.url}/metrics", timeout=TIMEOUT
    ).text  # a worker that died took its connections with it
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def predicted(server: Server) -> float:
    return counted(server, "windlass_requests_total", route="/predict", status="2xx")


def settled(server: Server, wanted: float) -> None:
    """Return once `wanted` predictions are counted: a request is counted just after its answer left."""
    deadline = time.monotonic() + TIMEOUT
    while (count := predicted(server)) != wanted:
        assert count < wanted
        assert time.monotonic() < deadline


def ask(server: Server, times: int) -> None:
    """Ask on a new connection each time, so that every worker gets some."""
    request = post("/predict", json.dumps(FLOWER).encode(), "Connection: close")
    for _ in range(times):
        assert server.raw(request).status == 200


def test_metrics_are_one_aggregate(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris, options=["--workers", "2"])
    with Load(server.port, clients=8) as load:
        while len(load.result.ids) < 500:
            assert server.client.get("/health").status_code == 200
    ask(server, 20)
    answered = len(load.result.ids) + 20
    settled(server, answered)
    assert [predicted(server) for _ in range(10)] == [answered] * 10  # whichever worker tells
    assert counted(server, "windlass_predictions_total", label="setosa") == answered
    assert server.client.get("/status").json()["predictions"] == answered
    assert counted(server, "windlass_request_duration_seconds_count", route="/predict") == answered
    assert len({line["worker"] for line in server.lines() if line["event"] == "rate"}) <= 2


def test_workers_end_with_a_supervisor_that_is_killed_while_they_start(
    serve: Serve, iris: Path
) -> None:
    server: Server = serve(iris, options=["--workers", "2"], ready=False)
    wait_until(lambda: server.children("spawn_main"), "a worker", TIMEOUT)
    server.signal(signal.SIGKILL)
    server.exit_code()

    def is_port_free() -> bool:
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", server.port))
            return True
        return False

    wait_until(is_port_free, "the end of the workers", TIMEOUT)


def test_a_worker_that_dies_is_replaced(serve: Serve, iris: Path) -> None:
    server: Server = serve(iris, options=["--workers", "2"])
    folder = server.home / "run" / str(server.process.pid)
    while sorted(path.name for path in folder.iterdir()) != (files := ["0.cells", "1.cells"]):
        assert server.client.get("/health").status_code == 200  # the second one is starting
    ask(server, 20)
    for answered in (20, 40):
        settled(server, answered)
        before = server.children("spawn_main")
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT
        while not (fresh := server.children("spawn_main") - before) and time.monotonic() < deadline:
            assert predicted(server) == answered
        assert len(fresh) == 1
        ask(server, 20)
    settled(server, 60)
    assert sorted(path.name for path in folder.iterdir()) == files
    assert server.stop() == 0


def test_counters_of_a_server_that_is_gone_are_removed(serve: Serve, iris: Path) -> None:
    home = None
    for _ in range(3):
        server: Server = serve(iris, home=home) if home else serve(iris)
        home = server.home
        assert server.client.post("/predict", json=FLOWER).status_code == 200
        server.process.kill()
        server.exit_code()
    server = serve(iris, home=home)
    assert [path.name for path in (server.home / "run").iterdir()] == [str(server.process.pid)]
    assert predicted(server) == 0
