"""SQLite's file is taken away under a server: it is missed, by each of its processes, and made anew by none."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.cli_registry import register_three_versions
from tests.support.paths import IRIS
from tests.support.registry_home import RegistryHome, status_of, wait_for_log
from tests.support.server import FLOWER, Serve, Server, post
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.auth.key import Role
from windlass.auth.key_store import KeyStore

NAME = Path("iris")  # of the project, in the registry


@pytest.fixture
def home(tmp_path: Path, bundle_of: BundleOf) -> Path:
    """Iris, declared by its folder, with v1 in production."""
    home = tmp_path / "home"
    register_three_versions(home, bundle_of)
    registry_home = RegistryHome(home)
    registry_home.approve("v1")
    registry_home.close()
    return home


@pytest.fixture
def secret(home: Path) -> str:
    registry_home = RegistryHome(home)
    key = KeyStore(registry_home.registry.database).create("known", Role.ADMIN)
    registry_home.close()
    return key


@contextmanager
def taken_away(home: Path) -> Iterator[None]:
    """The database in another folder meanwhile; nothing may have taken its place."""
    elsewhere = home / "aside"
    elsewhere.mkdir()
    for file in home.glob("windlass.db*"):
        file.rename(elsewhere / file.name)
    yield
    assert not (home / "windlass.db").exists()
    for stray in home.glob("windlass.db-*"):  # of a connection that was opening it as it went
        stray.unlink()
    for file in elsewhere.iterdir():
        file.rename(home / file.name)


def answers(server: Server) -> dict[str, int]:
    """The status of a question to the registry, and of a prediction."""
    versions = server.client.get("/versions")
    predict = server.client.post("/predict", json=FLOWER)
    return {"versions": versions.status_code, "predict": predict.status_code}


@pytest.mark.parametrize("requested_before", [False, True])
def test_the_registry_is_away_and_what_is_live_goes_on(
    serve: Serve, home: Path, secret: str, requested_before: bool
) -> None:
    server = serve(NAME, home=home, options=["--no-worker"], WINDLASS_AUTH="required")
    server.client.headers["X-API-Key"] = secret
    if requested_before:
        assert answers(server) == {"versions": 200, "predict": 200}
    with taken_away(home):
        wait_until(lambda: not status_of(server)["registry"]["reachable"], "away")
        for _ in range(2):
            assert answers(server) == {"versions": 503, "predict": 200}
        wait_for_log(server, "keys cannot be read", 1)
        stranger = server.client.get("/versions", headers={"X-API-Key": "somebody's"})
        assert stranger.status_code == 401
        assert server.client.get("/readyz").status_code == 200
    wait_until(lambda: answers(server) == {"versions": 200, "predict": 200}, "all well")
    wait_until(lambda: status_of(server)["registry"]["reachable"], "back")
    wait_for_log(server, "keys are read again", 1)


def test_a_process_that_begins_meanwhile_waits_for_it(
    serve: Serve, home: Path, secret: str
) -> None:
    options = ["--no-worker", "--workers", "2"]
    server = serve(NAME, home=home, options=options, WINDLASS_AUTH="required")
    wait_until(lambda: len(server.children("spawn_main")) == 2, "two processes")
    with taken_away(home):
        before = server.children("spawn_main")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(server.children("spawn_main") - before) == 2, "both replaced")
        wait_until(lambda: predicted(server, secret) is not None, "answering again")
        assert {predicted(server, secret) for _ in range(8)} == {503}  # no 401: keys are not known
    wait_until(lambda: {predicted(server, secret) for _ in range(8)} == {200}, "all well")


def predicted(server: Server, secret: str) -> int | None:
    """The status of a prediction, on a connection of its own; None where nobody answers as yet."""
    request = post(
        "/predict", json.dumps(FLOWER).encode(), f"X-API-Key: {secret}", "Connection: close"
    )
    try:
        return server.raw(request).status
    except (OSError, EOFError):
        return None


def test_a_worker_that_begins_meanwhile_waits_for_it(serve: Serve, home: Path) -> None:
    server = serve(IRIS, home=home)
    wait_for_log(server, "worker ready", 1)
    (first,) = server.children("\0worker\0")
    with taken_away(home):
        os.kill(first, signal.SIGKILL)
        wait_for_log(server, "waiting for the database", 1)
        assert server.children("\0worker\0") - {first}
    wait_for_log(server, "worker ready", 2)
