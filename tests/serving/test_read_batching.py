"""Batches of key lookups: concurrent requests share a read, and one failure does not fail the others."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from tests.support.server import TIMEOUT

from windlass.errors import StorageError
from windlass.serving.batching import MicroBatcher, read_batcher
from windlass.web.offload import DaemonExecutor, StuckError
from windlass.web.problems import Problem

Reads = MicroBatcher[Sequence[int], Sequence[int]]


class Store:
    """Doubles keys; refuses to begin before it is let; a key of 13 is one it cannot read."""

    def __init__(self) -> None:
        self.reads: list[list[int]] = []
        self.let = threading.Event()
        self.away = False

    def read(self, keys: Sequence[int]) -> list[int]:
        assert self.let.wait(TIMEOUT)
        self.reads.append(list(keys))
        if self.away:
            raise StorageError("It is away.")
        if 13 in keys:
            raise ValueError("unreadable")
        return [2 * key for key in keys]


def run(
    store: Store,
    work: Callable[[Reads], Awaitable[None]],
    timeout: float = 10.0,
    **limits: int,
) -> None:
    async def main() -> None:
        executor = DaemonExecutor("test", timeout=timeout)
        try:
            await work(read_batcher(store.read, executor, **limits))
        finally:
            store.let.set()
            executor.close()

    asyncio.run(main())


async def begun(*calls: Awaitable[Sequence[int]]) -> "asyncio.Future[list[object]]":
    """All of them, each at its first wait."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(3):
        await asyncio.sleep(0)  # until every one of them waits for the thread
    return asyncio.ensure_future(asyncio.gather(*tasks, return_exceptions=True))


def test_waiting_requests_are_read_together() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        first = await begun(reads.submit([1]))
        waiting = await begun(reads.submit([2, 3]), reads.submit([4]))
        store.let.set()
        assert await first == [[2]]
        assert await waiting == [[4, 6], [8]]

    run(store, work)
    assert store.reads == [[1], [2, 3, 4]]


def test_an_unreadable_key_fails_no_other_request() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        waiting = await begun(
            reads.submit([1]), reads.submit([2]), reads.submit([13]), reads.submit([3])
        )
        store.let.set()
        first, second, unlucky, third = await waiting
        assert (first, second, third) == ([2], [4], [6])
        assert isinstance(unlucky, ValueError)

    run(store, work)


def test_a_store_that_is_away_fails_all_that_wait() -> None:
    store = Store()
    store.away = True

    async def work(reads: Reads) -> None:
        waiting = await begun(reads.submit([1]), reads.submit([2]), reads.submit([3]))
        store.let.set()
        assert {type(error) for error in await waiting} == {StorageError}
        store.away = False
        assert await reads.submit([4]) == [8]

    run(store, work)
    assert len(store.reads) == 2


def test_a_store_that_does_not_answer_fails_all_that_wait() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        waiting = await begun(reads.submit([1]), reads.submit([2]))
        assert {type(error) for error in await waiting} == {StuckError}

    run(store, work, timeout=0.05)


def test_batches_have_a_limit() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        first = await begun(reads.submit([0]))
        waiting = await begun(*(reads.submit([number, number]) for number in range(1, 5)))
        with pytest.raises(Problem) as caught:
            await reads.submit([9])
        assert caught.value.status == 503
        store.let.set()
        assert await first == [[0]]
        assert await waiting == [[2, 2], [4, 4], [6, 6], [8, 8]]

    run(store, work, max_keys=3, max_waiting=4)
    assert max(map(len, store.reads)) <= 3
