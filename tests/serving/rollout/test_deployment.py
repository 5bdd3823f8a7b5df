"""Rollouts while a store does not answer: outdated ones are cancelled, and threads stay few."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.registry_home import RegistryHome, altered_copy
from tests.support.server import TIMEOUT

from windlass.core.bundle import Bundle
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.registry.version import LiveVersion, Version
from windlass.serving.rollout.deployment import ProjectDeployment
from windlass.serving.rollout.loader import ModelLoader, VersionLoader
from windlass.serving.served_project import ServedProject
from windlass.web.offload import DaemonExecutor
from windlass.web.registry_client import RegistryClient

NAME = "iris"


class Gated:
    """A registry with v1 to v4 of Iris, and its deployment; the store does not answer for versions that are `held`."""

    def __init__(self, registry_home: RegistryHome, executor: DaemonExecutor) -> None:
        self.held: set[str] = set()
        self.let_go = threading.Event()
        self.fetched: list[str] = []
        self.loaded: list[str] = []
        self._registry = registry_home.registry
        self._fetch_for_real = self._registry.fetch
        self._registry.fetch = self.fetch  # type: ignore[method-assign]
        client = RegistryClient(lambda: self._registry)
        client.open()
        loader = ModelLoader(executor)
        self._load_for_real = loader.load
        loader.load = self._load  # type: ignore[method-assign]
        self.project = ServedProject(NAME, None, ServerMetrics(SharedCounters()))
        self.loader = VersionLoader(NAME, client, loader)
        self.deployment = ProjectDeployment(self.project, self.loader)

    def fetch(self, version: Version) -> Bundle:
        self.fetched.append(version.name)
        if version.name in self.held:
            assert self.let_go.wait(TIMEOUT)
        return self._fetch_for_real(version)

    def _load(self, bundle: Bundle) -> Any:
        self.loaded.append(bundle.version)
        return self._load_for_real(bundle)

    def version(self, name: str) -> Version:
        return self._registry.version(NAME, name)

    def decided(self, name: str) -> LiveVersion:
        version = self.version(name)
        return LiveVersion(version.number, version.digest, 0.0, None)

    @property
    def live(self) -> str | None:
        return None if self.project.model is None else self.project.model.version

    @property
    def threads(self) -> list[str]:
        """Those that fetch now."""
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name.startswith("fetch-iris")]


@pytest.fixture
def gated(tmp_path: Path, iris: Path) -> Iterator[Gated]:
    registry_home = RegistryHome(tmp_path / "home")
    for number in range(1, 5):
        registry_home.live(altered_copy(iris, tmp_path / f"{number}"))
    executor = DaemonExecutor("model")
    setup = Gated(registry_home, executor)
    yield setup
    setup.let_go.set()
    setup.deployment.close()
    executor.close()
    registry_home.close()


async def until(check: Callable[[], object]) -> None:
    """Return once it holds; the event loop runs meanwhile."""
    async with asyncio.timeout(TIMEOUT):
        while not check():  # noqa: ASYNC110 - threads report to nobody
            await asyncio.sleep(0.01)


def test_a_decision_waits_for_no_version_that_a_client_requested(gated: Gated) -> None:
    async def check() -> None:
        gated.held = {"v2", "v3"}
        loads = [asyncio.ensure_future(gated.loader.load_requested(name)) for name in ("v2", "v3")]
        await until(lambda: set(gated.fetched) == gated.held)
        gated.deployment.reconcile(gated.decided("v1"))
        await gated.deployment.wait_until_idle()
        assert gated.live == "v1"
        assert not any(load.done() for load in loads)
        assert (await gated.loader.load_requested("v4")).version == "v4"  # nor does another client
        gated.let_go.set()
        assert [model.version for model in await asyncio.gather(*loads)] == ["v2", "v3"]

    asyncio.run(check())


def test_a_load_overtaken_by_a_decision_is_dropped(gated: Gated) -> None:
    async def check() -> None:
        gated.held = {"v2"}
        gated.deployment.reconcile(gated.decided("v2"))
        await until(lambda: gated.fetched == ["v2"])
        gated.deployment.reconcile(gated.decided("v2"))  # the same: it is under way
        settled = asyncio.ensure_future(gated.deployment.wait_until_idle())
        gated.deployment.reconcile(gated.decided("v1"))
        await settled  # also who waited before
        assert gated.live == "v1"
        gated.let_go.set()
        await until(lambda: not gated.threads)
        await asyncio.sleep(0)
        assert gated.loaded == ["v1"]
        assert (gated.live, gated.project.production, gated.project.refused) == ("v1", "v1", None)

    asyncio.run(check())


def test_a_running_load_is_shared_also_where_its_first_caller_gave_up(gated: Gated) -> None:
    async def check() -> None:
        gated.held, version = {"v2"}, gated.version("v2")
        first, second, third = (
            asyncio.ensure_future(gated.loader.fetch(version)) for _ in range(3)
        )
        await until(lambda: gated.fetched == ["v2"])
        first.cancel()
        await asyncio.wait([first])
        assert not second.done()
        gated.let_go.set()
        assert await second is await third
        assert (first.cancelled(), gated.fetched) == (True, ["v2"])
        assert (await gated.loader.fetch(version)).digest == version.digest  # later: anew
        assert gated.fetched == ["v2", "v2"]

    asyncio.run(check())


def test_fetches_at_once_are_limited(gated: Gated) -> None:
    gated.loader._fetches.max_keys = 2

    async def check() -> None:
        gated.held = {"v1", "v2"}
        for name in ("v1", "v2"):
            gated.deployment.reconcile(gated.decided(name))
            await until(lambda name=name: name in gated.fetched)  # type: ignore[misc]
        gated.deployment.reconcile(gated.decided("v3"))
        await gated.deployment.wait_until_idle()
        assert sorted(gated.threads) == ["fetch-iris-v1", "fetch-iris-v2"]
        assert "2 bundles of iris are being fetched" in str(gated.project.reason)
        gated.let_go.set()
        await until(lambda: not gated.threads)

        def again() -> bool:
            gated.deployment.reconcile(gated.decided("v3"))
            return gated.live == "v3"

        await until(again)
        assert gated.loaded == ["v3"]

    asyncio.run(check())


def test_a_running_load_is_cancelled_when_nothing_is_in_production(
    gated: Gated,
) -> None:
    async def check() -> None:
        gated.held = {"v2"}
        gated.deployment.reconcile(gated.decided("v2"))
        await until(lambda: gated.fetched == ["v2"])
        gated.deployment.reconcile(None)
        await gated.deployment.wait_until_idle()
        gated.let_go.set()
        await until(lambda: not gated.threads)
        assert gated.live is None
        assert "No version of iris is in production" in str(gated.project.reason)

    asyncio.run(check())
