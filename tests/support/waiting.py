"""Waits for what another thread, process or machine does, where nothing reports it."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.child_process import POLL, TIMEOUT

T = TypeVar("T")


def wait_until(check: Callable[[], object], what: str, timeout: float = TIMEOUT) -> float:
    """Return once `check` holds; how many seconds that took. Fails after `timeout` seconds."""
    started = time.monotonic()
    wait_for(check, what, timeout)
    return time.monotonic() - started


def wait_for(look: Callable[[], T | None], what: str, timeout: float = TIMEOUT) -> T:
    """Return what `look` returns, once it is true. Fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        if value := look():
            return value
        now = time.monotonic()
        assert now < deadline, f"never: {what}"
        time.sleep(max(POLL, 4 * (now - began)))  # a look may cost more than what it waits for


def is_quick(act: Callable[[], object], seconds: float, tries: int = 5) -> bool:
    """Whether `act` takes less than `seconds`, at the best of some tries: a busy machine holds up one or the other."""
    for _ in range(tries):
        started = time.monotonic()
        act()
        if time.monotonic() - started < seconds:
            return True
    return False
