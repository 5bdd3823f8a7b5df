"""A thread for what may take long or never end: the registry's database, the bundle store, loading."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Call = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class DaemonExecutor:
    """Works off calls one after another on a daemon thread, which starts with the first call.

    An executor's threads are waited for as the process ends, so a database that hangs would hold up a stop.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """A future of the running loop: what `work` returns, or raises, on the thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put((loop, future, partial(work, *args, **kwargs)))
        return future

    def close(self) -> None:
        """Let the thread end, once its present call has."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            _answer(*call)
            del call  # or what it returned, a model perhaps, would live until the next one


def _answer(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", work: Callable[[], Any]
) -> None:
    if future.cancelled():
        return
    try:
        tell = partial(_tell, future, future.set_result, work())
    except BaseException as error:  # noqa: BLE001 - it goes to whom it concerns
        tell = partial(_tell, future, future.set_exception, error)
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(tell)


def _tell(future: "asyncio.Future[Any]", say: Callable[[Any], None], value: Any) -> None:
    if not future.cancelled():
        say(value)
