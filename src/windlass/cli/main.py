"""`windlass`: the way in. It imports next to nothing itself, so that Ctrl+C is quiet from the first moment on."""

import os
import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """The entry point: exit codes 0 done, 1 refused or failed, 2 bad usage, 130 interrupted before it began.

    Commands take a fifth of a second to import. An interrupt meanwhile ends the process at once: as an exception
    it would pass through other people's modules, which turn it into another one or pass it over. Where it is
    ignored, it stays so.
    """
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, _leave)
    from windlass.cli.commands import app

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _leave(*_: object) -> None:
    os._exit(_INTERRUPTED)
