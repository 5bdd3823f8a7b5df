"""Waits for what another thread, process or machine does, where nothing reports it."""

import time
from collections.abc import Callable

from tests.support.server import TIMEOUT


def wait_until(check: Callable[[], object], what: str, timeout: float = TIMEOUT) -> float:
    """Return once `check` holds; how many seconds that took. Fails after `timeout` seconds."""
    started = time.monotonic()
    while not check():
        assert time.monotonic() - started < timeout, f"never: {what}"
        time.sleep(0.01)
    return time.monotonic() - started


def is_quick(act: Callable[[], object], seconds: float, tries: int = 5) -> bool:
    """Whether `act` takes less than `seconds`, at the best of some tries: a busy machine holds up one or the other."""
    for _ in range(tries):
        started = time.monotonic()
        act()
        if time.monotonic() - started < seconds:
            return True
    return False
