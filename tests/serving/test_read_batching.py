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
        self.asked: list[list[int]] = []
        self.let = threading.Event()
        self.away = False

    def read(self, keys: Sequence[int]) -> list[int]:
        assert self.let.wait(TIMEOUT)
        self.asked.append(list(keys))
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


def test_what_waits_goes_together() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        first = await begun(reads.submit([1]))
        others = await begun(reads.submit([2, 3]), reads.submit([4]))
        store.let.set()
        assert await first == [[2]]
        assert await others == [[4, 6], [8]]

    run(store, work)
    assert store.asked == [[1], [2, 3, 4]]


def test_what_cannot_be_read_fails_nobody_else() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        found = await begun(
            reads.submit([1]), reads.submit([2]), reads.submit([13]), reads.submit([3])
        )
        store.let.set()
        one, two, unlucky, three = await found
        assert (one, two, three) == ([2], [4], [6])
        assert isinstance(unlucky, ValueError)

    run(store, work)


def test_a_store_that_is_away_fails_all_that_wait() -> None:
    store = Store()
    store.away = True

    async def work(reads: Reads) -> None:
        found = await begun(reads.submit([1]), reads.submit([2]), reads.submit([3]))
        store.let.set()
        assert {type(error) for error in await found} == {StorageError}
        store.away = False
        assert await reads.submit([4]) == [8]

    run(store, work)
    assert len(store.asked) == 2


def test_a_store_that_does_not_answer_fails_all_that_wait() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        found = await begun(reads.submit([1]), reads.submit([2]))
        assert {type(error) for error in await found} == {StuckError}

    run(store, work, timeout=0.05)


def test_questions_have_an_end() -> None:
    store = Store()

    async def work(reads: Reads) -> None:
        first = await begun(reads.submit([0]))
        found = await begun(*(reads.submit([number, number]) for number in range(1, 5)))
        with pytest.raises(Problem) as caught:
            await reads.submit([9])
        assert caught.value.status == 503
        store.let.set()
        assert await first == [[0]]
        assert await found == [[2, 2], [4, 4], [6, 6], [8, 8]]

    run(store, work, max_keys=3, max_waiting=4)
    assert max(map(len, store.asked)) <= 3
