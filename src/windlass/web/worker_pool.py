"""Threads for what waits on the database: few, with a short queue, so that predictions never wait for control."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from windlass.web.problems import unavailable

THREADS = 2
MAX_WAITING = 256  # calls under way or in the queue; beyond, clients are asked to come again
SWITCH_SECONDS = 0.0005
TIMEOUT_SECONDS = 20.0  # for one call, its time in the queue included

T = TypeVar("T")


class StuckError(Exception):
    """A call that has begun does not come to its end; its thread may never be free again."""


@dataclass
class _Call:
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    work: Callable[[], Any]
    begun: bool = False

    def answer(self) -> None:
        """Do the work, unless nobody waits for it any more."""
        self.begun = not self.future.done()
        if not self.begun:
            return
        try:
            tell = partial(self._tell, self.future.set_result, self.work())
        except BaseException as error:  # noqa: BLE001 - it goes to whom it concerns
            tell = partial(self._tell, self.future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self.loop.call_soon_threadsafe(tell)

    def _tell(self, say: Callable[[Any], None], value: Any) -> None:
        if not self.future.done():
            say(value)


class WorkerPool:
    """Runs blocking work off the event loop, on daemon threads: a database that hangs holds up no stop."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._started = False
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. Raises what it raises; Problem 503 where too much waits already; StuckError.

        What had begun by then goes on to its end; what had not never begins.
        """
        if self._waiting >= MAX_WAITING:
            raise unavailable("Too many requests wait for the database.")
        self._start()
        loop = asyncio.get_running_loop()
        call = _Call(loop, loop.create_future(), work)
        self._calls.put(call)
        self._waiting += 1
        try:
            done, _ = await asyncio.wait([call.future], timeout=TIMEOUT_SECONDS)
            if done:
                found: T = call.future.result()
                return found
        finally:
            call.future.cancel()
            self._waiting -= 1
        if call.begun:
            raise StuckError
        raise unavailable("Too many requests wait for the database.")

    def _start(self) -> None:
        if not self._started:
            self._started = True
            # a busy thread hands the interpreter back ten times as soon as by default, for predictions wait for it
            sys.setswitchinterval(SWITCH_SECONDS)
            for number in range(THREADS):
                threading.Thread(target=self._work, name=f"control-{number}", daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.answer()
            del call  # or its answer would live until the next one

    def close(self) -> None:
        """Let each thread end, once its present call has."""
        for _ in range(THREADS):
            self._calls.put(None)
