"""Entry point of `windlass`; it imports very little itself, so that Ctrl+C is quiet from the first moment on."""

import os
import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Runs the command line.

    Exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted before it began.
    Commands take a fifth of a second to import. An interrupt meanwhile ends the process at once: an exception
    would pass through modules of others, which may convert or swallow it. Where SIGINT is ignored, it stays so.
    """
    handles_sigint = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handles_sigint:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from windlass.cli.commands import app

    if handles_sigint:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
