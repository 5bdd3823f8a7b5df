"""Natural batching: what waits while one batch runs is the next batch; no item waits for others to come."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Generic, TypeVar

from windlass.core.batch import Batch, Prediction
from windlass.errors import StorageError
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import unavailable

MAX_ROWS = 4096  # in one call of the engine
MAX_KEYS = 10_000  # in one read of the store
MAX_WAITING = 1024  # requests that wait for reads; beyond, clients get 503

Item = TypeVar("Item", bound=Sequence[object] | Batch)
Result = TypeVar("Result")
K = TypeVar("K")
T = TypeVar("T")


class MicroBatcher(Generic[Item, Result]):
    """Runs one batch at a time on an executor, with all items that wait.

    For one event loop.

    Where a batch of several fails, each of its items runs by itself, so that no item fails another; but after a
    StorageError or a timeout everything that waits fails alike, for it would wait for the same.
    """

    def __init__(
        self,
        run: Callable[[Item], Result],
        executor: DaemonExecutor,
        *,
        join: Callable[[list[Item]], Item],
        split: Callable[[Result, int, int], Result],
        max_size: int,
        max_waiting: int | None = None,
    ) -> None:
        """`join` makes one item of several; `split` takes what belongs to the elements from start to stop.

        A batch holds at most `max_size` elements, unless one item alone has more.
        """
        self._run = run
        self._executor = executor
        self._join, self._split = join, split
        self._max_size = max_size
        self._max_waiting = max_waiting
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Returns the result of this item.

        Raises what `run` and the executor raise, and Problem 503 where too many items wait already.
        """
        if self._max_waiting is not None and len(self._waiting) >= self._max_waiting:
            raise unavailable("Too many requests wait for features.")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        try:
            return await future
        finally:
            del future  # an error's traceback refers to this frame, and the future to the error

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._process(self._next_batch())
        finally:
            self._worker = None

    def _next_batch(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        size, count = 0, 0
        for item, _ in self._waiting:
            if count and size + len(item) > self._max_size:
                break
            size += len(item)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _process(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        item = batch[0][0] if len(batch) == 1 else self._join([item for item, _ in batch])
        try:
            result = await self._executor.run(self._run, item)
        except (TimeoutError, StorageError) as error:
            batch += self._waiting
            self._waiting = []
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
            if len(batch) == 1:
                _fail(batch, error)
                return
            while batch:
                await self._process([batch.pop(0)])
        else:
            start = 0
            for item, future in batch:
                if not future.done():
                    future.set_result(self._split(result, start, start + len(item)))
                start += len(item)


def _fail(batch: "list[tuple[Item, asyncio.Future[Result]]]", error: Exception) -> None:
    """Fails all items of a batch, and empties it: frames of the error refer to it."""
    while batch:
        _, future = batch.pop()
        if not future.done():
            future.set_exception(error)


def prediction_batcher(
    predict: Callable[[Batch], Prediction], executor: DaemonExecutor
) -> MicroBatcher[Batch, Prediction]:
    """Batches the rows of concurrent requests for one engine."""
    return MicroBatcher(
        predict, executor, join=Batch.concat, split=Prediction.slice, max_size=MAX_ROWS
    )


def read_batcher(
    read: Callable[[Sequence[K]], Sequence[T]],
    executor: DaemonExecutor,
    *,
    max_keys: int = MAX_KEYS,
    max_waiting: int = MAX_WAITING,
) -> MicroBatcher[Sequence[K], Sequence[T]]:
    """Batches concurrent lookups of keys; `read` gives one value a key, in order."""
    return MicroBatcher(
        read,
        executor,
        join=lambda keys: list(chain.from_iterable(keys)),
        split=lambda values, start, stop: values[start:stop],
        max_size=max_keys,
        max_waiting=max_waiting,
    )
