"""JSON logs, one object a line. Set up by entry points only.

Records are formatted where they arise and written by a thread, so that whoever reads standard error,
or does not, never holds up the process that logs.
"""

import atexit
import json
import logging
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime

MAX_WAITING = 10_000  # lines; beyond, the oldest are dropped
_FLUSH_SECONDS = 1.0  # that an exit waits for a reader

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, event, and every `extra` field."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class ThreadedHandler(logging.Handler):
    """Writes lines to standard error from a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=MAX_WAITING)
        self._wake = threading.Event()
        self._idle = threading.Event()
        threading.Thread(target=self._work, name="log", daemon=True).start()
        atexit.register(self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the thread."""
        self._lines.append(self.format(record))
        self._idle.clear()
        self._wake.set()

    def flush(self) -> None:
        """Wait until everything is written, or nobody reads."""
        until = time.monotonic() + _FLUSH_SECONDS
        while self._lines and time.monotonic() < until:
            self._wake.set()
            time.sleep(0.001)
        self._idle.wait(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while True:
            self._idle.set()
            self._wake.wait()
            self._wake.clear()
            self._idle.clear()
            while self._lines:
                try:
                    sys.stderr.write(f"{self._lines.popleft()}\n")
                    sys.stderr.flush()
                except (OSError, ValueError):
                    pass  # nobody reads standard error any more; there is nowhere to say so


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, to the millisecond."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def set_up_logs(level: str) -> None:
    """Send everything from `level` up to standard error as JSON lines."""
    handler = ThreadedHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # uvicorn, where it is the entry point, has set up text of its own; requests are logged by us
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
