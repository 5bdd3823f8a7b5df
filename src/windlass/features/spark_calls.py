"""Calls of Spark on threads of their own: whoever waits for one can leave it, by Ctrl+C or a time limit.

py4j gives every Python thread a connection. A thread that leaves it in the midst of a call would wait on it in the
next call, until the first one ends; and a call whose job no worker takes up never ends.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
LEAVING = 30.0  # seconds that Spark may take to end what is not wanted any more
_AGAIN = 0.2  # seconds until a job may have been submitted that was not there to be cancelled


def apart(call: Callable[[], T]) -> "Future[T]":
    """What the call gives or raises, once it has; its thread does not keep the process."""
    ending: Future[T] = Future()

    def run() -> None:
        try:
            ending.set_result(call())
        except BaseException as error:  # noqa: BLE001 - for whoever asks for the result
            ending.set_exception(error)

    Thread(target=run, name="windlass-spark", daemon=True).start()
    return ending


def cancel(session: Any, calls: Collection["Future[Any]"]) -> None:
    """Cancel what Spark runs until these calls have returned, a job submitted meanwhile included; at most `LEAVING`."""
    last = monotonic() + LEAVING
    while wait(calls, _AGAIN).not_done and monotonic() < last:
        session.sparkContext.cancelAllJobs()


@contextmanager
def py4j_silent() -> Iterator[None]:
    """Without what py4j logs of a call that was left or that failed: our own errors tell of it."""
    own, root = logging.getLogger("py4j"), logging.getLogger()
    before = own.level
    own.setLevel(logging.CRITICAL + 1)
    root.addFilter(_is_not_of_py4j)
    try:
        yield
    finally:
        root.removeFilter(_is_not_of_py4j)
        own.setLevel(before)


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """Some of its lines go to the root logger itself."""
    return "/py4j/" not in record.pathname
