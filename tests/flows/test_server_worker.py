"""The worker that `windlass serve` keeps beside itself: it trains, is replaced, and ends with the server."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli_registry import register_three_versions
from tests.support.job_workers import is_alive
from tests.support.paths import IRIS
from tests.support.server import Serve, Server
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture
def home(tmp_path: Path, bundle_of: BundleOf) -> Path:
    home = tmp_path / "home"
    register_three_versions(home, bundle_of, policy="automatic")
    registry = Registry.open(Settings(home=home))
    registry.approve("iris", "v1", actor="ana", reason="first")
    registry.close()
    return home


@pytest.fixture
def server(serve: Serve, home: Path) -> Server:
    return serve(IRIS, home=home)


def workers(server: Server) -> set[int]:
    """The worker processes that it keeps beside itself."""
    return server.children("\0worker\0")


def trained(server: Server) -> Any:
    """What a training is answered with: it is asked for again where a busy machine takes more than a minute."""
    request = {"model": "logreg", "C": 0.5, "seed": 7}
    headers = {"Idempotency-Key": '"once"'}
    while True:
        answer = server.client.post("/train", json=request, headers=headers, timeout=90)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return answer.json()


def test_the_worker_trains_and_the_new_version_answers(server: Server) -> None:
    answer = trained(server)
    assert (answer["new_model_version"], answer["stage"]) == ("v4", "production")
    wait_until(lambda: server.client.get("/status").json()["live_version"] == "v4", "v4 live")
    assert server.client.get("/jobs").json()["jobs"][0]["state"] == "succeeded"


def test_a_killed_worker_is_replaced(server: Server) -> None:
    wait_until(lambda: workers(server), "a worker")
    (first,) = workers(server)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: workers(server) - {first}, "another worker")
    assert server.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_worker_ends_with_the_server(serve: Serve, home: Path, number: int) -> None:
    server = serve(IRIS, home=home)
    wait_until(lambda: workers(server), "a worker")
    (worker,) = workers(server)
    server.signal(number)
    server.exit_code()
    wait_until(lambda: not is_alive(worker), "its end")


def test_predictions_alone_are_trained_too(serve: Serve, home: Path) -> None:
    server = serve(IRIS, home=home, options=["--only", "predict"])
    answer = trained(server)
    assert answer["new_model_version"] == "v4"


def test_no_worker_is_started_where_none_is_wanted(serve: Serve, home: Path, iris: Path) -> None:
    server = serve(IRIS, home=home, options=["--no-worker"])
    assert workers(server) == set()
    answer = server.client.post(
        "/train", json={"seed": 1}, headers={"Prefer": "respond-async"}
    ).json()
    assert "no worker is running" in answer["message"]
    assert workers(serve(iris)) == set()  # a bundle by itself is never trained
    options = ["--only", "features"]  # which has no /train
    assert workers(serve(IRIS, home=home, options=options, ready=False).wait("/livez")) == set()
