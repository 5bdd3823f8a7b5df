"""The registry's database goes away: what is live goes on, says so, and is caught up with afterwards."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.registry_home import (
    RegistryHome,
    altered_copy,
    status_of,
    until_live,
    version_of,
    wait_for_log,
)
from tests.support.server import FLOWER, Serve, Server
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import is_quick, wait_until

NAME = Path("iris")  # of the project, in the registry
BODY = str(FLOWER).replace("'", '"').encode()


@pytest.fixture
def registry_home(tmp_path: Path, migrated_postgres_url: str) -> Iterator[RegistryHome]:
    home = RegistryHome(tmp_path / "home", database_url=migrated_postgres_url)
    yield home
    home.close()


def registry_of(server: Server) -> Any:
    return status_of(server)["registry"]


@pytest.mark.parametrize("outage", ["cut", "mute"])
def test_what_is_live_goes_on(
    serve: Serve,
    registry_home: RegistryHome,
    iris: Path,
    wire: TcpProxy,
    wired_url: str,
    outage: str,
) -> None:
    registry_home.live(iris)
    later = registry_home.add(altered_copy(iris, registry_home.home / "next"))
    server = serve(NAME, home=registry_home.home, WINDLASS_DATABASE_URL=wired_url)
    assert registry_of(server)["reachable"] is True
    before = time.time()
    getattr(wire, outage)()
    registry_home.approve(later)
    wait_until(lambda: registry_of(server)["reachable"] is False, "away")
    status = registry_of(server)
    assert status["reason"]
    assert before <= status["since"] <= time.time()
    assert server.client.get("/readyz").status_code == 200
    assert version_of(server) == "v1"

    def refused() -> None:
        answer = server.client.post("/predict?version=v2", content=BODY)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]

    assert is_quick(refused, 2)
    wire.mend()
    until_live(server, later)
    assert registry_of(server)["reachable"] is True
    wait_for_log(server, "registry available again", 1)
    events = [line["event"] for line in server.lines() if line["event"].startswith("registry ")]
    assert events == ["registry unavailable", "registry available again"] * (len(events) // 2), (
        "each change once"
    )
    wire.mute()
    server.stop()  # with a question under way that nobody answers; and it ends well, or this fails


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_started_meanwhile_becomes_ready_afterwards(
    serve: Serve,
    registry_home: RegistryHome,
    iris: Path,
    wire: TcpProxy,
    wired_url: str,
    workers: int,
) -> None:
    registry_home.live(iris)
    wire.cut()
    server = serve(
        NAME,
        home=registry_home.home,
        ready=False,
        options=["--workers", str(workers)],
        WINDLASS_DATABASE_URL=wired_url,
    ).wait("/readyz", 503)
    wait_until(lambda: "cannot be reached" in server.client.get("/readyz").text, "said why")
    assert server.client.post("/predict", content=BODY).status_code == 503
    wire.mend()
    server.wait("/readyz")
    wait_until(lambda: {version_of(server) for _ in range(8)} == {"v1"}, "every worker ready")


def test_a_worker_replaced_meanwhile_goes_on_with_what_is_live(
    serve: Serve,
    registry_home: RegistryHome,
    iris: Path,
    tmp_path: Path,
    wire: TcpProxy,
    wired_url: str,
) -> None:
    registry_home.live(iris)
    home = registry_home.home
    server = serve(NAME, home=home, options=["--workers", "2"], WINDLASS_DATABASE_URL=wired_url)
    wait_until(lambda: len(server.children("spawn_main")) == 2, "two workers")
    later = registry_home.live(altered_copy(iris, tmp_path / "next"))
    wait_until(lambda: {version_of(server) for _ in range(8)} == {later}, "both switched")
    wire.cut()
    before = server.children("spawn_main")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(server.children("spawn_main") - before) == 2, "both replaced")
    wait_until(lambda: version_of(server) == later, "answering again")
    assert {version_of(server) for _ in range(20)} == {later}
    server.stop()
    afresh = serve(NAME, home=home, ready=False, WINDLASS_DATABASE_URL=wired_url)
    afresh.wait("/readyz", 503)
    assert version_of(afresh) == ""  # what is live now it has to ask
