"""Reads that gather: whoever asks while the thread reads is in its next question. Nobody waits for company."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from windlass.errors import StorageError
from windlass.serving.aside import Aside
from windlass.web.problems import unavailable

MOST_TOGETHER = 10_000  # keys in one question
MOST_WAITING = 1024  # requests; beyond, clients are asked to come again

T = TypeVar("T")
_Asked = tuple[Sequence[int], asyncio.Future[Sequence[T]]]


class Gathering(Generic[T]):
    """Asks `read` on a thread, one question at a time. For one event loop."""

    def __init__(
        self, read: Callable[[Sequence[int]], Sequence[T]], thread: Aside, patience: float
    ) -> None:
        """`patience` is in seconds."""
        self._read = read
        self._thread = thread
        self._patience = patience
        self._waiting: list[_Asked[T]] = []
        self._worker: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[int]) -> Sequence[T]:
        """One value a key, in order.

        Raises what `read` raises; TimeoutError where it does not answer, and the thread is lost; Problem 503
        where too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise unavailable("Too many requests wait for features.")
        future: asyncio.Future[Sequence[T]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._ask(self._take())
        finally:
            self._worker = None

    def _take(self) -> list[_Asked[T]]:
        keys, count = 0, 0
        for asked, _ in self._waiting:
            if count and keys + len(asked) > MOST_TOGETHER:
                break
            keys += len(asked)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _ask(self, taken: list[_Asked[T]]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                found = await self._thread.run(
                    self._read, [key for keys, _ in taken for key in keys]
                )
        except (TimeoutError, StorageError) as error:
            late, self._waiting = self._waiting, []  # for they would hear the same
            _fail([*taken, *late], error)
        except Exception as error:  # noqa: BLE001 - whatever it was, it goes to whom it concerns
            if len(taken) == 1:
                _fail(taken, error)
                return
            for single in taken:  # what one asked for must not fail another
                await self._ask([single])
        else:
            start = 0
            for keys, future in taken:
                if not future.done():
                    future.set_result(found[start : start + len(keys)])
                start += len(keys)


def _fail(taken: Sequence[_Asked[T]], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
