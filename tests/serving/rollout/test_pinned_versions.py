"""`?version=` and `/versions/{v}`: versions that are or were in production answer; others are rejected cheaply."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.registry_home import (
    RegistryHome,
    altered_copy,
    change_label,
    other_bundle,
    until_live,
    wait_for_log,
)
from tests.support.server import FLOWER, Serve, Server
from tests.support.trained_bundles import BundleOf

from windlass.registry.registry import Registry
from windlass.registry.version import Version
from windlass.serving.model import ServedModel
from windlass.serving.rollout.loader import ModelLoader, VersionLoader
from windlass.serving.rollout.pinned_versions import VersionCache
from windlass.serving.served_project import MAX_LOADED_VERSIONS
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem
from windlass.web.registry_client import RegistryClient

NAME = Path("iris")  # of the project, in the registry
TENSORS = {
    "inputs": [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in FLOWER.items()
    ]
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bundle_of: BundleOf) -> Iterator[RegistryHome]:
    """v1 to v6 were in production, v6 is; v7 is a candidate; v8 was rejected; v9 fails its self-test."""
    folder = tmp_path_factory.mktemp("earlier")
    registry_home = RegistryHome(folder / "home")
    iris, other = bundle_of("iris"), other_bundle(bundle_of)
    registry_home.live(other)
    registry_home.live(altered_copy(iris, folder / "bad", change_label))
    for index in range(3, 7):
        registry_home.live(altered_copy(iris if index % 2 else other, folder / f"{index}"))
    registry_home.add(altered_copy(iris, folder / "candidate"))
    rejected = registry_home.add(altered_copy(iris, folder / "rejected"))
    registry_home.registry.reject("iris", rejected, actor="tester", reason="a test")
    yield registry_home
    registry_home.close()


@pytest.fixture(scope="module")
def server(session_server: Serve, home: RegistryHome) -> Server:
    return session_server(NAME, home=home.home)


def loads(server: Server, least: int = 0) -> list[str]:
    return [line["version"] for line in wait_for_log(server, "earlier version ready", least)]


@pytest.mark.parametrize("path", ["/predict", "/iris/predict", "/predict_batch"])
def test_a_version_that_was_in_production_answers(server: Server, path: str) -> None:
    body: Any = [FLOWER] if "batch" in path else FLOWER
    before = server.client.post(path, json=body).json()
    pinned_versions = server.client.post(f"{path}?version=v1", json=body).json()
    same = server.client.post(f"{path}?version=v3", json=body).json()
    assert (before["model_version"], pinned_versions["model_version"], same["model_version"]) == (
        "v6", "v1", "v3",
    )  # fmt: skip
    assert (
        before["class_probabilities"] == pinned_versions["class_probabilities"]
    )  # of one training
    assert before["class_probabilities"] != same["class_probabilities"]


@pytest.mark.parametrize(
    ("version", "status"),
    [("v7", 409), ("v8", 409), ("v99", 404), ("v0", 404), ("v01", 404), ("V1", 404), ("", 404),
     ("v999999999999999999999", 404), ("../v1", 404), ("%00", 404), ("v1%0a", 404), ("latest", 404)],
)  # fmt: skip
def test_another_version_is_refused(server: Server, version: str, status: int) -> None:
    for _ in range(3):  # in the same way, also from the cache
        answer = server.client.post(f"/predict?version={version}", json=FLOWER)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        if version and "%" not in version and status == 404:
            assert version not in answer.text


@pytest.mark.parametrize(
    ("version", "status", "questions"), [("v7", 409, 1), ("v99", 404, 1), ("v01", 404, 0)]
)
def test_a_refusal_is_cached_for_a_while(
    home: RegistryHome, monkeypatch: pytest.MonkeyPatch, version: str, status: int, questions: int
) -> None:
    """Failures are cached, so that requests for missing versions rarely reach the database."""
    requests = VersionRequests(home, monkeypatch, error_seconds=3600.0)
    assert [requests.status(version) for _ in range(3)] == [status] * 3
    assert requests.questions == [version] * questions
    forgetful = VersionRequests(home, monkeypatch, error_seconds=0.0)
    assert [forgetful.status(version) for _ in range(3)] == [status] * 3
    assert forgetful.questions == [version] * questions * 3
    for opened in (requests, forgetful):
        opened.close()


class VersionRequests:
    """Earlier versions of Iris, found in this process; `questions` are those that the registry got."""

    def __init__(
        self, home: RegistryHome, monkeypatch: pytest.MonkeyPatch, error_seconds: float
    ) -> None:
        self.questions: list[str] = []
        client = RegistryClient(lambda: home.registry)
        client.open()
        client.reachable = True
        self._home = home
        approved = Registry.approved_version.__get__(home.registry)

        def counted(project: str, name: str) -> Version:
            self.questions.append(name)
            version: Version = approved(project, name)
            return version

        monkeypatch.setattr(home.registry, "approved_version", counted)
        self._loader = VersionLoader("iris", client, ModelLoader(DaemonExecutor("model")))
        self._cache = VersionCache(client, self._loader, error_seconds)

    def status(self, version: str) -> int:
        """What an answer about this version would have."""
        with pytest.raises(Problem) as refused:
            asyncio.run(self._cache.find(version, lambda model: None))
        return refused.value.status

    def close(self) -> None:
        """Let its threads end."""
        self._loader.close()


def test_a_request_at_any_moment_of_a_load_begins_no_other(home: RegistryHome) -> None:
    client = RegistryClient(lambda: home.registry)
    client.open()
    client.reachable = True
    loader = VersionLoader("iris", client, ModelLoader(DaemonExecutor("model")))
    cache, loaded = VersionCache(client, loader), list[ServedModel]()

    async def request() -> None:
        if not loaded:
            await cache.find("v3", loaded.append)

    async def request_at_every_turn() -> None:
        """Sends a request at each turn of the event loop, until the first has been answered."""
        requests = [asyncio.create_task(request())]
        while not requests[0].done():
            requests.append(asyncio.create_task(request()))
            await asyncio.sleep(0)
        await asyncio.gather(*requests)

    asyncio.run(request_at_every_turn())
    loader.close()
    assert [model.version for model in loaded] == ["v3"]


def test_a_version_that_cannot_be_served_is_distinguished_from_a_missing_one(
    server: Server,
) -> None:

    def refused() -> None:
        answer = server.client.post("/predict?version=v2", json=FLOWER)
        assert answer.status_code == 503
        assert "log tells why" in answer.json()["detail"]

    def is_quick() -> bool:
        """Where the second question comes within a second, it is refused from memory."""
        before = server.lines("earlier version not loaded")
        refused()
        refused()
        logged = wait_for_log(server, "earlier version not loaded", len(before) + 1)[len(before) :]
        assert "Reference example 0" in logged[0]["reason"]
        return len(logged) == 1

    assert any(is_quick() for _ in range(5))
    assert server.client.post("/predict", json=FLOWER).status_code == 200


def test_v2_names_versions(server: Server) -> None:
    described = server.client.get("/v2/models/iris").json()
    assert described["versions"] == ["v6", "v5", "v4", "v3", "v2", "v1"]
    infer = "/v2/models/iris/versions/{}/infer"
    for version in ("v6", "v1"):
        answer = server.client.post(infer.format(version), json=TENSORS)
        assert answer.json()["model_version"] == version
        ready = server.client.get(f"/v2/models/iris/versions/{version}/ready")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert server.client.get(f"/v2/models/iris/versions/{version}").status_code == 200
    assert server.client.get("/v2/models/iris/versions/v2/ready").status_code == 503
    for version, status in (("v7", 409), ("v99", 404)):
        answer = server.client.post(infer.format(version), json=TENSORS)
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}


def test_other_protocols_take_the_version_from_the_query(server: Server) -> None:
    body = {"instances": [FLOWER]}
    for path in ("/invocations", "/v1/models/iris:predict"):
        assert server.client.post(f"{path}?version=v1", json=body).status_code == 200
        assert server.client.post(f"{path}?version=v99", json=body).status_code == 404


def test_a_load_is_shared_and_few_versions_stay_loaded(
    serve: Serve, home: RegistryHome, tmp_path: Path
) -> None:
    server = serve(NAME, home=Path(shutil.copytree(home.home, tmp_path / "copy")))
    with ThreadPoolExecutor(8) as clients:
        responses = [
            clients.submit(server.client.post, "/predict?version=v3", json=FLOWER)
            for _ in range(24)
        ]
    assert {answer.result().json()["model_version"] for answer in responses} == {"v3"}
    assert loads(server, 1) == ["v3"]
    for version in ("v4", "v5", "v1"):
        assert server.client.post(f"/predict?version={version}", json=FLOWER).status_code == 200
    assert MAX_LOADED_VERSIONS == 3
    assert server.client.post("/predict?version=v5", json=FLOWER).status_code == 200  # at hand
    assert server.client.post("/predict?version=v3", json=FLOWER).status_code == 200  # again
    assert loads(server, 5) == ["v3", "v4", "v5", "v1", "v3"]


def test_the_predecessor_stays_at_hand(
    serve: Serve, tmp_path: Path, bundle_of: BundleOf, iris: Path
) -> None:
    registry_home = RegistryHome(tmp_path / "home")
    registry_home.live(iris)
    server = serve(NAME, home=registry_home.home)
    registry_home.live(other_bundle(bundle_of))
    until_live(server, "v2")
    assert server.client.post("/predict?version=v1", json=FLOWER).json()["model_version"] == "v1"
    server.stop()
    assert loads(server) == []
    registry_home.close()
