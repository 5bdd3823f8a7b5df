"""Threads that never come back, and queues that are too long."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from tests.support.server import TIMEOUT

from windlass.control.backend import ControlBackend, ControlStores
from windlass.errors import StorageError
from windlass.web import worker_pool
from windlass.web.problems import Problem
from windlass.web.worker_pool import MAX_WAITING, THREADS


class Opened:
    """Stores that count how often they were opened, and closed."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    def __call__(self) -> ControlStores:
        self.opened += 1
        return cast("ControlStores", self)

    def close(self) -> None:
        self.closed += 1


def within(work: Callable[[ControlBackend], Coroutine[Any, Any, None]], stores: Opened) -> None:
    async def run() -> None:
        office = ControlBackend(stores)
        await work(office)
        office.close()

    asyncio.run(run())


@pytest.fixture
def hanging() -> Any:
    """Work that does not come back before the test ends."""
    let_go = threading.Event()
    yield lambda _: let_go.wait()
    let_go.set()


def test_a_hanging_thread_is_replaced(hanging: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = Opened()

    async def work(office: ControlBackend) -> None:
        await office.run(lambda _: None)  # its threads have started
        monkeypatch.setattr(worker_pool, "TIMEOUT_SECONDS", 1.0)
        asked = [office.run(hanging) for _ in range(THREADS)]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, Problem)
            assert answer.status == 503
        monkeypatch.setattr(worker_pool, "TIMEOUT_SECONDS", TIMEOUT)
        assert await office.run(lambda _: 7) == 7

    within(work, stores)
    assert (stores.opened, stores.closed) == (2, 2)


def test_a_long_queue_takes_no_more(hanging: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    async def work(office: ControlBackend) -> None:
        await office.run(lambda _: None)  # its threads have started
        monkeypatch.setattr(worker_pool, "TIMEOUT_SECONDS", 1.0)
        busy = [asyncio.ensure_future(office.run(hanging)) for _ in range(THREADS)]
        waiting = [
            asyncio.ensure_future(office.run(lambda _: begun.append(1)))
            for _ in range(MAX_WAITING - THREADS)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await office.run(lambda _: None)
        assert refused.value.status == 503
        told = await asyncio.gather(*busy, *waiting, return_exceptions=True)
        assert all(isinstance(one, Problem) for one in told)

    within(work, Opened())
    assert begun == []  # nobody waits for it any more


def test_what_work_raises_is_raised() -> None:
    def work(_: ControlStores) -> None:
        raise StorageError("away")

    async def ask(office: ControlBackend) -> None:
        with pytest.raises(StorageError, match="away"):
            await office.run(work)

    within(ask, Opened())
