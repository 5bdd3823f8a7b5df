"""A server on a machine of its own follows a registry whose bundles are in a bucket."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.registry_home import (
    RegistryHome,
    altered_copy,
    other_bundle,
    status_of,
    until_live,
    version_of,
    wait_for_log,
)
from tests.support.server import FLOWER, Serve, Server
from tests.support.tcp_proxy import TcpProxy
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.storage.blob_store import open_blob_store

NAME = Path("iris")  # of the project, in the registry
MODEL = "model.onnx"

Elsewhere = Callable[..., Server]


@pytest.fixture
def registry_home(tmp_path: Path, s3_url: str) -> Iterator[RegistryHome]:
    home = RegistryHome(tmp_path / "home", store_url=s3_url, store_http=True)
    yield home
    home.close()


@pytest.fixture
def elsewhere(serve: Serve, registry_home: RegistryHome, tmp_path: Path) -> Elsewhere:
    """Starts a server that shares the database and the bucket, and no folder."""
    database = f"sqlite:///{registry_home.home / 'windlass.db'}"
    store = registry_home.settings.store_url

    def start(name: str, **options: object) -> Server:
        shared = {"WINDLASS_DATABASE_URL": database, "WINDLASS_STORE_URL": store}
        return serve(NAME, home=tmp_path / name, options=["--no-worker"], **shared, **options)

    return start


def altered(registry_home: RegistryHome, name: str, folder: Path) -> bytes:
    """Change one byte of a version's model in the bucket; what it was before."""
    blobs, prefix = open_blob_store(registry_home.settings), f"models/iris/{name}"
    before = blobs.read(prefix, MODEL)
    assert before is not None
    replaced(registry_home, name, folder, before[:100] + bytes([before[100] ^ 1]) + before[101:])
    return before


def replaced(registry_home: RegistryHome, name: str, folder: Path, content: bytes) -> None:
    """Have this be a version's model in the bucket."""
    folder.mkdir(exist_ok=True)
    (folder / MODEL).write_bytes(content)
    open_blob_store(registry_home.settings).upload(folder, [MODEL], f"models/iris/{name}")


def test_versions_come_from_the_bucket(
    elsewhere: Elsewhere, registry_home: RegistryHome, bundle_of: BundleOf
) -> None:
    registry_home.live(bundle_of("iris"))
    server = elsewhere("server")
    assert version_of(server) == "v1"
    before = server.client.post("/predict", json=FLOWER).json()
    registry_home.approve(registry_home.add(other_bundle(bundle_of)))
    until_live(server, "v2")
    after = server.client.post("/predict", json=FLOWER).json()
    assert after["model_version"] == "v2"
    assert after["class_probabilities"] != before["class_probabilities"]
    registry_home.rollback()
    until_live(server, "v1")
    again = server.client.post("/predict?version=v2", json=FLOWER).json()
    assert again["class_probabilities"] == after["class_probabilities"]
    assert not (registry_home.home / "models").exists()
    assert not (server.home / "models").exists()


def test_what_was_altered_in_the_bucket_is_refused(
    elsewhere: Elsewhere, registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.live(iris)
    server = elsewhere("server")
    name = registry_home.add(altered_copy(iris, tmp_path / "next"))
    registry_home.registry.fetch(
        registry_home.registry.version("iris", name)
    )  # whole, where it is approved
    sealed = altered(registry_home, name, tmp_path / "part")
    registry_home.approve(name)
    wait_until(lambda: status_of(server)["refused"] is not None, "refused")
    refused = status_of(server)["refused"]
    assert refused["version"] == name == "v2"
    assert "model.onnx is not the file that was sealed" in refused["reason"]
    assert f"{registry_home.settings.store_url}/models/iris/v2" in refused["reason"]
    assert version_of(server) == "v1"
    assert server.client.get("/readyz").status_code == 200
    assert server.client.post(f"/predict?version={name}", json=FLOWER).status_code == 503

    fresh = elsewhere("fresh", ready=False).wait("/livez")  # with nothing to go on with
    wait_until(
        lambda: "not the file that was sealed" in fresh.client.get("/readyz").text, "says why"
    )
    assert fresh.client.post("/predict", json=FLOWER).status_code == 503

    replaced(registry_home, name, tmp_path / "part", sealed)
    registry_home.rollback()
    wait_until(lambda: version_of(fresh) == "v1", "back")
    registry_home.rollback(name)
    for each in (server, fresh):
        until_live(each, name)


def test_a_bucket_that_is_away_is_waited_for(
    elsewhere: Elsewhere, registry_home: RegistryHome, iris: Path, tmp_path: Path, s3_endpoint: str
) -> None:
    registry_home.live(iris)
    with TcpProxy(int(s3_endpoint.rpartition(":")[2])) as wire:
        server = elsewhere("server", AWS_ENDPOINT_URL=f"http://127.0.0.1:{wire.port}")
        wire.cut()
        registry_home.live(altered_copy(iris, tmp_path / "next"))
        (line,) = wait_for_log(server, "version not loaded yet", 1)
        assert line["version"] == "v2"
        assert "cannot be read" in line["reason"]
        assert version_of(server) == "v1"
        assert (status_of(server)["refused"], server.client.get("/readyz").status_code) == (
            None,
            200,
        )
        wire.mend()
        until_live(server, "v2")
        server.stop()


def test_a_bucket_that_is_silent_holds_up_no_decision(
    elsewhere: Elsewhere, registry_home: RegistryHome, iris: Path, tmp_path: Path, s3_endpoint: str
) -> None:
    """Neither where a client asked for a version of it, nor where a decision did that is no more."""
    for number in range(1, 4):
        registry_home.live(altered_copy(iris, tmp_path / f"{number}"))
    first_run = elsewhere("server")
    assert first_run.client.post("/predict?version=v1", json=FLOWER).status_code == 200
    first_run.stop()
    port = int(s3_endpoint.rpartition(":")[2])
    with TcpProxy(port) as wire, ThreadPoolExecutor(1) as client:
        server = elsewhere("server", AWS_ENDPOINT_URL=f"http://127.0.0.1:{wire.port}")
        wire.mute()
        answer = client.submit(server.client.post, "/predict?version=v2", json=FLOWER)
        wait_until(lambda: wire.swallowed, "fetched")
        registry_home.rollback("v1")  # which this machine has, and the server's memory has not
        wait_for_log(server, "version ready", 2)
        assert version_of(server) == "v1"
        assert not answer.done()

        registry_home.approve(registry_home.add(altered_copy(iris, tmp_path / "4")))
        wait_until(lambda: status_of(server)["stage"] == "archived", "under way to v4")
        registry_home.rollback("v1")
        wait_until(lambda: status_of(server)["stage"] == "production", "back")
        assert wait_for_log(server, "version not loaded yet") == []  # v4 was not waited for
        wire.cut()  # and not only silent: the client is told at once
        assert answer.result().status_code == 503
        server.stop()
