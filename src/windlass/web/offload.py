"""Runs blocking calls off the event loop: daemon threads, a bounded queue, a timeout, and shared calls."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("windlass.offload")


class StuckError(TimeoutError):
    """A call has begun and did not return in time; its thread was abandoned, and it may still take effect."""


class QueueFullError(Exception):
    """Too many calls run or wait already; this one was not taken."""


class _Call:
    """A call, and the future of the event loop that its result goes to, until it has got it."""

    __slots__ = ("begun", "future", "work")

    def __init__(self, future: "asyncio.Future[Any]", work: Callable[[], Any]) -> None:
        self.future: asyncio.Future[Any] | None = future
        self.work = work
        self.begun: float | None = None  # seconds of the monotonic clock

    def run(self) -> None:
        """Run it on this thread, unless nobody waits for it any more."""
        future, self.future = self.future, None
        if future is None or future.done():
            return
        self.begun = time.monotonic()
        try:
            report = partial(_set, future, future.set_result, self.work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            report = partial(_set, future, future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            future.get_loop().call_soon_threadsafe(report)
        # an error refers to the frames below this one, and they to this one: if it referred to the error, all that
        # they hold, such as a large body, would wait for the garbage collector
        del future, report


def _set(future: "asyncio.Future[Any]", setter: Callable[[Any], None], value: Any) -> None:
    if not future.done():
        setter(value)


class _Threads:
    """Daemon threads over one queue, until they are closed or abandoned."""

    def __init__(self, name: str, count: int) -> None:
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._count = count
        self._running: set[_Call] = set()
        for number in range(count):
            named = name if count == 1 else f"{name}-{number}"
            threading.Thread(target=self._work, name=named, daemon=True).start()

    def put(self, call: _Call) -> None:
        self._queue.put(call)

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            self._running.add(call)
            call.run()
            self._running.discard(call)
            del call  # or its result, a model perhaps, would live until the next call

    def is_stuck(self, seconds: float) -> bool:
        """Whether a call has run for so long."""
        limit = time.monotonic() - seconds
        return any(call.begun is not None and call.begun <= limit for call in self._running.copy())

    def close(self) -> None:
        """Let each thread end after the calls that wait now."""
        for _ in range(self._count):
            self._queue.put(None)


class DaemonExecutor:
    """Runs blocking calls on daemon threads, in order.

    Threads start with the first call. A call that hangs delays neither the end of the process, for nobody joins a
    daemon thread, nor, where there is a `timeout`, later calls: its thread is abandoned, and others take its place.
    `abandoned` counts how often. Methods are for the event loop's thread.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int = 1,
        timeout: float | None = None,
        max_pending: int | None = None,
        on_abandon: Callable[[], None] | None = None,
    ) -> None:
        """`timeout`, in seconds, is for one call of `run`, its time in the queue included.

        `max_pending` bounds the calls of `run` that run or wait. `on_abandon` is called on the event loop each
        time that threads are abandoned, to replace what the call that hangs may hold.
        """
        self.abandoned = 0
        self.timeout = timeout
        self._name = name
        self._count = threads
        self._max_pending = max_pending
        self._on_abandon = on_abandon
        self._pending = 0
        self._threads: _Threads | None = None
        self._closed = False

    def submit(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Returns a future of what `work` returns or raises.

        Nothing bounds or times the call; one whose future is cancelled before it begins never begins. Raises
        RuntimeError once closed.
        """
        future, _ = self._put(partial(work, *args, **kwargs))
        return future

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what `work` returns.

        Raises what it raises; QueueFullError; StuckError where it began and does not return in time; TimeoutError
        where it never begins because of those before it.
        """
        if self._max_pending is not None and self._pending >= self._max_pending:
            raise QueueFullError(f"{self._pending} calls of {self._name} run or wait.")
        future, call = self._put(partial(work, *args, **kwargs))
        threads = self._threads
        self._pending += 1
        try:
            async with asyncio.timeout(self.timeout) as limit:  # wait_for may lose a cancellation
                result: T = await future
                return result
        except TimeoutError:
            if not limit.expired():  # then the work raised it
                raise
        finally:
            self._pending -= 1
            del future  # as in `_Call.run`
        self._replace(threads, stuck=call.begun is not None)
        if call.begun is not None:
            raise StuckError(
                f"A call of {self._name} did not return within {self.timeout:g} seconds."
            )
        raise TimeoutError(f"{self._name} was busy for {self.timeout:g} seconds.")

    def _put(self, work: Callable[[], Any]) -> "tuple[asyncio.Future[Any], _Call]":
        if self._closed:
            raise RuntimeError(f"The executor {self._name} is closed.")
        future = asyncio.get_running_loop().create_future()
        call = _Call(future, work)
        if self._threads is None:
            self._threads = _Threads(self._name, self._count)
        self._threads.put(call)
        return future, call

    def _replace(self, threads: _Threads | None, *, stuck: bool) -> None:
        """Abandon threads of which one hangs, unless another call's timeout did so before."""
        assert self.timeout is not None
        if threads is None or threads is not self._threads:
            return
        if stuck or threads.is_stuck(self.timeout):
            threads.close()
            self._threads = None
            self.abandoned += 1
            _log.warning(
                "threads abandoned",
                extra={
                    "executor": self._name,
                    "seconds": self.timeout,
                    "abandoned": self.abandoned,
                },
            )
            if self._on_abandon is not None:
                self._on_abandon()

    def close(self) -> None:
        """Takes no more calls; each thread ends after the calls that wait now, and nobody waits for it."""
        self._closed = True
        if self._threads is not None:
            self._threads.close()


K = TypeVar("K", bound=Hashable)


class SharedCalls(Generic[K, T]):
    """Awaits one call for each key at a time; whoever asks for a key under way gets the same result.

    A caller that is cancelled leaves the call to the others. For one event loop.
    """

    def __init__(self, max_keys: int) -> None:
        self.max_keys = max_keys
        self._calls: dict[K, asyncio.Future[T]] = {}

    async def get(self, key: K, start: Callable[[], Awaitable[T]]) -> T:
        """Returns what `start` gives, called where this key is not under way.

        Raises what it raises, and QueueFullError where too many other keys are under way.
        """
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= self.max_keys:
                raise QueueFullError(f"{self.max_keys} calls are under way.")
            call = self._calls[key] = asyncio.ensure_future(start())
            call.add_done_callback(partial(self._end, key))
        await asyncio.wait([call])  # leaves it alone where this is cancelled
        return call.result()

    def _end(self, key: K, call: "asyncio.Future[T]") -> None:
        del self._calls[key]
        if not call.cancelled():
            call.exception()  # every caller may have gone; nobody need hear of a failure then
