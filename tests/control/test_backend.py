"""Threads that never come back, and queues that are too long."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from windlass.control.backend import (
    MAX_WAITING,
    THREADS,
    ControlBackend,
    ControlStores,
    ControlTimings,
)
from windlass.errors import StorageError
from windlass.registry.registry import Registry
from windlass.web.problems import Problem


class FakeRegistry:
    """Opens itself; counts how often it was opened, and closed."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    def open(self) -> Registry:
        self.opened += 1
        return cast("Registry", self)

    def close(self) -> None:
        self.closed += 1


def run(
    work: Callable[[ControlBackend], Coroutine[Any, Any, None]], registry: FakeRegistry
) -> None:
    async def main() -> None:
        backend = ControlBackend(registry.open, ControlTimings(call=1.0))
        await work(backend)
        backend.close()

    asyncio.run(main())


@pytest.fixture
def hanging() -> Any:
    """Work that does not come back before the test ends."""
    let_go = threading.Event()
    yield lambda _: let_go.wait()
    let_go.set()


def test_a_hanging_thread_is_replaced(hanging: Any) -> None:
    registry = FakeRegistry()

    async def work(backend: ControlBackend) -> None:
        await backend.run(lambda _: None)  # its threads have started
        calls = [backend.run(hanging) for _ in range(THREADS)]
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(answer, Problem)
            assert answer.status == 503
        assert await backend.run(lambda _: 7) == 7

    run(work, registry)
    assert (registry.opened, registry.closed) == (2, 2)


def test_a_full_queue_refuses_calls(hanging: Any) -> None:
    begun = []

    async def work(backend: ControlBackend) -> None:
        await backend.run(lambda _: None)  # its threads have started
        busy = [asyncio.ensure_future(backend.run(hanging)) for _ in range(THREADS)]
        waiting = [
            asyncio.ensure_future(backend.run(lambda _: begun.append(1)))
            for _ in range(MAX_WAITING - THREADS)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await backend.run(lambda _: None)
        assert refused.value.status == 503
        reported = await asyncio.gather(*busy, *waiting, return_exceptions=True)
        assert all(isinstance(problem, Problem) for problem in reported)

    run(work, FakeRegistry())
    assert begun == []  # nobody waits for it any more


def test_an_error_of_a_call_reaches_its_caller() -> None:
    def work(_: ControlStores) -> None:
        raise StorageError("away")

    async def ask(backend: ControlBackend) -> None:
        with pytest.raises(StorageError, match="away"):
            await backend.run(work)

    run(ask, FakeRegistry())
