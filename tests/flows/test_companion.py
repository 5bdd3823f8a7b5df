"""The worker that `windlass serve` keeps beside itself: it trains, is replaced, and ends with the server."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.registered import IRIS, fill
from tests.conftest import BundleOf, Serve
from tests.running import PATIENCE, Server

from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture
def home(tmp_path: Path, bundle_of: BundleOf) -> Path:
    home = tmp_path / "home"
    fill(home, bundle_of, policy="automatic")
    registry = Registry.of(Settings(home=home))
    registry.approve("iris", "v1", actor="ana", reason="first")
    registry.close()
    return home


@pytest.fixture
def server(serve: Serve, home: Path) -> Server:
    return serve(IRIS, home=home)


def children(pid: int) -> list[int]:
    """The worker processes whose parent is `pid`."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    every = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    return [child for child in every if b"worker" in command(child)]


def command(pid: int) -> bytes:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing tells of another process's children


def test_it_trains_what_is_asked_for_and_the_version_answers(server: Server) -> None:
    asked = {"model": "logreg", "C": 0.5, "seed": 7}
    told = server.client.post("/train", json=asked, timeout=90).json()
    assert (told["new_model_version"], told["stage"]) == ("v4", "production")
    until(lambda: server.client.get("/status").json()["live_version"] == "v4")
    assert server.client.get("/jobs").json()["jobs"][0]["state"] == "succeeded"


def test_a_killed_one_is_replaced(server: Server) -> None:
    until(lambda: children(server.process.pid))
    (first,) = children(server.process.pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: set(children(server.process.pid)) - {first})
    assert server.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_server(serve: Serve, home: Path, number: int) -> None:
    server = serve(IRIS, home=home)
    until(lambda: children(server.process.pid))
    (worker,) = children(server.process.pid)
    server.signal(number)
    server.exit_code()
    until(lambda: not command(worker))


def test_none_is_started_where_none_is_wanted(serve: Serve, home: Path, iris: Path) -> None:
    server = serve(IRIS, home=home, options=["--no-worker"])
    assert children(server.process.pid) == []
    told = server.client.post(
        "/train", json={"seed": 1}, headers={"Prefer": "respond-async"}
    ).json()
    assert "no worker is running" in told["message"]
    assert children(serve(iris).process.pid) == []  # a bundle by itself is never trained
