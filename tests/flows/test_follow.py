"""A running server does what the registry decides, goes on where that cannot be, and says so."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from tests.support.registry_home import (
    RegistryHome,
    altered_copy,
    change_label,
    digest_of,
    other_bundle,
    status_of,
    until_live,
    version_of,
    wait_for_log,
)
from tests.support.server import FLOWER, Serve, Server
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

NAME = Path("iris")  # of the project, in the registry


def predicted(server: Server, query: str = "") -> str:
    answer = server.client.post(f"/predict{query}", json=FLOWER)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model_version"])


@pytest.mark.parametrize("workers", [1, 2])
def test_decisions_reach_every_worker_within_two_seconds(
    serve: Serve, registry_home: RegistryHome, bundle_of: BundleOf, workers: int
) -> None:
    first, second = (
        registry_home.live(bundle_of("iris")),
        registry_home.add(other_bundle(bundle_of)),
    )
    server = serve(NAME, home=registry_home.home, options=["--workers", str(workers)])
    assert predicted(server) == first == "v1"
    wait_for_log(server, "version ready", workers)
    decisions: list[Callable[[], float]] = [
        lambda: registry_home.approve(second),
        registry_home.rollback,
        registry_home.rollback,
        lambda: registry_home.rollback("v1"),
    ]
    for turn, decide in enumerate(decisions):
        decide()
        wait_for_log(server, "version ready", workers * (turn + 2))
    lines = wait_for_log(server, "version ready")[workers:]
    assert len(lines) == 4 * workers
    # what holds up a busy machine holds up one or the other
    assert median(line["seconds_after_decision"] for line in lines) < 2
    assert predicted(server) == "v1"
    assert predicted(server, "?version=v2") == "v2"


def test_what_status_and_documents_say_follows(
    serve: Serve, registry_home: RegistryHome, bundle_of: BundleOf, iris: Path
) -> None:
    registry_home.live(iris)
    server = serve(NAME, home=registry_home.home)
    before = status_of(server)
    assert before["live_version"] == "v1"
    assert before["stage"] == "production"
    assert before["bundle_digest"] == digest_of(iris)
    assert before["registry"]["reachable"] is True
    assert "v1: predicts" in server.client.get("/openapi.json").json()["info"]["description"]
    decided = registry_home.approve(registry_home.add(other_bundle(bundle_of)))
    until_live(server, "v2")
    after = status_of(server)
    assert after["live_since"] == decided
    assert after["bundle_digest"] == digest_of(other_bundle(bundle_of))
    assert "v2: predicts" in server.client.get("/openapi.json").json()["info"]["description"]
    assert (
        'windlass_live_version_info{project="iris",version="v2"}'
        in server.client.get("/metrics").text
    )
    _, switch = wait_for_log(server, "version ready", 2)
    assert switch["version"] == "v2"
    assert switch["previous"] == "v1"
    assert 0 < switch["load_seconds"] < 30
    assert 0 < switch["test_seconds"] < 30


def test_a_version_that_fails_its_self_test_is_not_switched_to(
    serve: Serve, registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.live(iris)
    server = serve(NAME, home=registry_home.home)
    registry_home.approve(registry_home.add(altered_copy(iris, tmp_path / "bad", change_label)))
    wait_until(lambda: status_of(server)["refused"] is not None, "refused")
    status = status_of(server)
    assert status["refused"]["version"] == "v2"
    assert "Reference example 0" in status["refused"]["reason"]
    assert (status["live_version"], status["stage"]) == ("v1", "archived")
    assert predicted(server) == "v1"
    assert server.client.get("/readyz").status_code == 200
    registry_home.approve(registry_home.add(altered_copy(iris, tmp_path / "good")))
    until_live(server, "v3")
    assert status_of(server)["refused"] is None
    (line,) = wait_for_log(
        server, "version refused", 1
    )  # once, though it was polled again and again
    assert line["version"] == "v2"


def test_an_altered_bundle_is_not_switched_to(
    serve: Serve, registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.live(iris)
    server = serve(NAME, home=registry_home.home)
    name = registry_home.add(altered_copy(iris, tmp_path / "next"))
    registry_home.approve(name)
    until_live(server, "v2")
    registry_home.rollback()
    until_live(server, "v1")
    name = registry_home.add(altered_copy(iris, tmp_path / "third"))
    model = registry_home.folder(name) / "model.onnx"
    registry_home.registry.approve("iris", name, actor="tester", reason="seen")
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)  # before the next poll, or after the load: then a restart finds it
    wait_until(
        lambda: status_of(server)["refused"] is not None or predicted(server) == name, "settled"
    )
    server.stop()
    server = serve(NAME, home=registry_home.home, ready=False)
    server.wait("/livez")
    wait_until(lambda: status_of(server)["refused"] is not None, "refused")
    assert "not the file that was sealed" in status_of(server)["refused"]["reason"]
    assert server.client.post("/predict", json=FLOWER).status_code == 503
    assert predicted(server, "?version=v1") == "v1"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_project_without_a_production_version_becomes_ready(
    serve: Serve, registry_home: RegistryHome, iris: Path, workers: int
) -> None:
    name = registry_home.add(iris)
    server = serve(
        NAME, home=registry_home.home, ready=False, options=["--workers", str(workers)]
    ).wait("/readyz", 503)
    wait_until(
        lambda: "windlass approve iris" in server.client.get("/readyz").text, "said what to do"
    )
    answer = server.client.post("/predict", json=FLOWER)
    assert answer.status_code == 503
    assert "windlass approve iris" in answer.json()["detail"]
    assert server.client.get("/openapi.json").status_code == 200
    assert status_of(server)["live_version"] is None
    registry_home.approve(name)
    server.wait("/readyz")
    until_live(server, "v1")


def test_a_replaced_worker_comes_up_with_what_the_registry_says(
    serve: Serve, registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.live(iris)
    server = serve(NAME, home=registry_home.home, options=["--workers", "2"])
    wait_until(lambda: len(server.children("spawn_main")) == 2, "two workers")
    registry_home.approve(registry_home.add(altered_copy(iris, tmp_path / "next")))
    until_live(server, "v2")
    before = server.children("spawn_main")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(server.children("spawn_main") - before) == 2, "both replaced")
    wait_until(lambda: version_of(server) == "v2", "answering again")
    assert {version_of(server) for _ in range(20)} == {"v2"}


def test_a_server_follows_several_projects(
    serve: Serve, registry_home: RegistryHome, bundle_of: BundleOf, iris: Path, tmp_path: Path
) -> None:
    """One follows, one is a bundle by itself; each under its name."""
    registry_home.live(iris)
    server = serve(NAME, bundle_of("diabetes"), home=registry_home.home)
    assert server.client.post("/iris/predict", json=FLOWER).json()["model_version"] == "v1"
    assert server.client.post("/predict", json=FLOWER).status_code == 404
    projects = {
        project["project"]: project for project in server.client.get("/status").json()["projects"]
    }
    assert projects["diabetes"]["registry"] is None
    assert len(projects["diabetes"]["live_version"]) == 12
    registry_home.live(altered_copy(iris, tmp_path / "next"))
    until_live(server, "v2")
    shutil.rmtree(registry_home.folder("v1"))
    assert server.client.post("/iris/predict?version=v1", json=FLOWER).status_code == 200  # at hand


def test_a_bundle_that_cannot_be_fetched_is_tried_again(
    serve: Serve,
    registry_home: RegistryHome,
    iris: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("first", "second", "third"):
        registry_home.live(altered_copy(iris, tmp_path / name))
    server = serve(NAME, home=registry_home.home)
    moved = registry_home.folder("v1").rename(tmp_path / "aside")
    monkeypatch.setattr(
        registry_home.registry, "fetch", lambda _: None
    )  # there, but not to the server
    registry_home.rollback("v1")
    (line,) = wait_for_log(server, "version not loaded yet", 1)
    assert line["version"] == "v1"
    assert predicted(server) == "v3"
    assert status_of(server)["refused"] is None
    moved.rename(registry_home.folder("v1"))
    until_live(server, "v1")
    assert len(wait_for_log(server, "version not loaded yet")) == 1


def test_what_no_decision_put_in_production_is_refused(
    serve: Serve, registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    """Whoever can write to the database still has to forge the chain of decisions."""
    registry_home.live(iris)
    name = registry_home.add(altered_copy(iris, tmp_path / "next"))
    server = serve(NAME, home=registry_home.home)
    move = "UPDATE versions SET stage = ? WHERE number = ?"
    with sqlite3.connect(registry_home.home / "windlass.db") as connection:
        connection.execute(move, ("archived", 1))
        connection.execute(move, ("production", 2))
    connection.close()
    wait_until(lambda: status_of(server)["refused"] is not None, "refused")
    assert status_of(server)["refused"]["version"] == name
    assert "put v1 in production" in status_of(server)["refused"]["reason"]
    assert predicted(server) == "v1"
    assert server.client.post(f"/predict?version={name}", json=FLOWER).status_code == 409
