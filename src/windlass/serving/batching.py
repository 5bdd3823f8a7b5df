"""Natural batching: what queued while the last batch ran is the next batch. Nobody waits for company."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from windlass.core.batch import Batch, Prediction
from windlass.errors import StorageError
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import unavailable

MAX_ROWS = 4096  # in one call of the engine

Predict = Callable[[Batch], Prediction]
_Waiting = tuple[Batch, "asyncio.Future[Prediction]"]


class Batcher:
    """Runs an engine on a thread of `executor`, one call at a time, with all rows that wait."""

    def __init__(self, predict: Predict, executor: Executor) -> None:
        self._predict = predict
        self._executor = executor
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    async def predict(self, batch: Batch) -> Prediction:
        """Predict these rows, together with whatever else is waiting. Raises EngineError."""
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.append((batch, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._run(self._take())
        finally:
            self._worker = None

    def _take(self) -> list[_Waiting]:
        rows, count = 0, 0
        for batch, _ in self._waiting:
            if count and rows + len(batch) > MAX_ROWS:
                break
            rows += len(batch)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _run(self, taken: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        batch = taken[0][0] if len(taken) == 1 else Batch.concat([batch for batch, _ in taken])
        try:
            prediction = await loop.run_in_executor(self._executor, self._predict, batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, it goes to whom it concerns
            if len(taken) == 1:
                _fail(taken[0][1], error)
                return
            for single in taken:  # one client's row must not fail another's
                await self._run([single])
            return
        start = 0
        for part, future in taken:
            if not future.done():
                future.set_result(prediction.slice(start, start + len(part)))
            start += len(part)


def _fail(future: "asyncio.Future[Prediction]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


MAX_TOGETHER = 10_000  # keys in one question
MAX_WAITING = 1024  # requests; beyond, clients are asked to come again

T = TypeVar("T")
_Asked = tuple[Sequence[int], asyncio.Future[Sequence[T]]]


class ReadBatcher(Generic[T]):
    """Asks `read` on a thread, one question at a time. For one event loop."""

    def __init__(
        self, read: Callable[[Sequence[int]], Sequence[T]], thread: DaemonExecutor, patience: float
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
        if len(self._waiting) >= MAX_WAITING:
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
            if count and keys + len(asked) > MAX_TOGETHER:
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
            _fail_reads([*taken, *late], error)
        except Exception as error:  # noqa: BLE001 - whatever it was, it goes to whom it concerns
            if len(taken) == 1:
                _fail_reads(taken, error)
                return
            for single in taken:  # what one asked for must not fail another
                await self._ask([single])
        else:
            start = 0
            for keys, future in taken:
                if not future.done():
                    future.set_result(found[start : start + len(keys)])
                start += len(keys)


def _fail_reads(taken: Sequence[_Asked[T]], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
