"""What commands share that carry a job out themselves: being interrupted, early imports, the project's own words."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupting(cancelling: threading.Event) -> Iterator[None]:
    """Have Ctrl+C, and a polite stop, cancel what runs; a second one leaves it to the next worker."""

    def cancel(*_: object) -> None:
        if cancelling.is_set():
            raise KeyboardInterrupt
        cancelling.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, cancel) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def import_what_jobs_need() -> None:
    """Import while the other process reads the project: DBOS alone takes a third of a second."""
    import windlass.workflows.attended
    import windlass.workflows.durable  # noqa: F401


def printed(line: str) -> None:
    """Pass on what the project's code printed."""
    sys.stderr.write(f"{line}\n")
