"""Registry calls off the event loop: a registry that fails, is silent, comes back, or is not there."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.server import TIMEOUT

from windlass.errors import StorageError
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.web.registry_client import RegistryClient, RegistryLimits, registry_opener


class FakeRegistry:
    """Counts how often it was closed; `let` is unset while its opening is silent."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.let = threading.Event()
        self.let.set()
        self.failure: Exception | None = None

    def open(self) -> Registry:
        assert self.let.wait(TIMEOUT)
        self.opened += 1
        if self.failure is not None:
            raise self.failure
        return cast("Registry", self)

    def close(self) -> None:
        self.closed += 1


def run(
    check: Callable[[RegistryClient], Coroutine[Any, Any, None]],
    registry: FakeRegistry,
    timeout: float = TIMEOUT,
    retry: float = 0.0,
) -> None:
    async def main() -> None:
        client = RegistryClient(registry.open, RegistryLimits(timeout=timeout, retry=retry))
        await check(client)
        client.close()

    asyncio.run(main())
    registry.let.set()


def test_no_empty_registry_is_created(tmp_path: Path) -> None:
    async def check() -> None:
        client = RegistryClient(registry_opener(Settings(home=tmp_path)))
        assert await client.poll(lambda registry: registry.live_versions(["iris"])) is None
        client.close()
        assert client.status()["reachable"] is False
        assert "no database file" in str(client.reason)

    asyncio.run(check())
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_fails_and_comes_back() -> None:
    failures = iter([StorageError("away"), RuntimeError("a surprise"), None])

    def work(_: Registry) -> int:
        failure = next(failures)
        if failure is not None:
            raise failure
        return 7

    async def check(client: RegistryClient) -> None:
        assert await client.poll(work) is None
        assert client.status()["reason"] == "away"
        since = client.since
        assert await client.poll(work) is None
        assert client.status() == {
            "reachable": False,
            "since": since,
            "reason": "RuntimeError: a surprise",
        }
        assert await client.poll(work) == 7
        assert client.status()["reachable"] is True
        assert client.status()["reason"] is None

    run(check, FakeRegistry())


def test_a_silent_registry_is_read_over_a_new_connection() -> None:
    registry, silence = FakeRegistry(), threading.Event()

    async def check(client: RegistryClient) -> None:
        client._executor.timeout = 0.05
        assert await client.poll(lambda _: silence.wait()) is None
        assert "has not answered" in str(client.reason)
        assert (registry.opened, registry.closed) == (1, 1)
        with pytest.raises(StorageError):
            client.registry()
        client._executor.timeout = TIMEOUT
        assert await client.poll(lambda _: 7) == 7
        assert registry.opened == 2

    run(check, registry)
    silence.set()


def test_an_opening_that_hangs_does_not_delay_later_calls() -> None:
    registry = FakeRegistry()
    registry.let.clear()

    async def check(client: RegistryClient) -> None:
        client._executor.timeout = 0.05
        assert await client.poll(lambda _: 7) is None
        registry.let.set()
        client._executor.timeout = TIMEOUT
        assert await client.poll(lambda _: 7) == 7

    run(check, registry)


def test_what_cannot_be_opened_is_not_tried_again_at_once() -> None:
    registry = FakeRegistry()
    registry.failure = StorageError("away")

    async def check(client: RegistryClient) -> None:
        for _ in range(3):
            with pytest.raises(StorageError, match="away"):
                await client.run(lambda _: 7)

    run(check, registry, retry=3600.0)
    assert registry.opened == 1
    run(check, registry)
    assert registry.opened == 4
