"""JSON logs on standard error, one object per line, set up by entry points only."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import Empty, Full, Queue

MAX_QUEUED_LINES = 10_000  # beyond, the oldest are dropped
FLUSH_SECONDS = 1.0  # the longest wait at exit for lines that are still queued

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, event, and every `extra` field."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without its end."""
        entry: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class DropOldestHandler(QueueHandler):
    """Puts formatted lines into a bounded queue, and drops the oldest line if the queue is full.

    Logging never waits for whatever reads standard error.
    """

    queue: Queue[str]

    def __init__(self, queue: Queue[str], flush_seconds: float = FLUSH_SECONDS) -> None:
        super().__init__(queue)
        self._flush_seconds = flush_seconds

    def prepare(self, record: logging.LogRecord) -> str:
        """Returns the line; it is formatted in the thread that logs, where the arguments still hold."""
        return self.format(record)

    def enqueue(self, line: str) -> None:  # type: ignore[override]  # what `prepare` returned
        """Adds a line to the queue."""
        while True:
            try:
                self.queue.put_nowait(line)
            except Full:
                with suppress(Empty):  # the writer may have emptied the queue meanwhile
                    self.queue.get_nowait()
                    self.queue.task_done()
            else:
                return

    def flush(self) -> None:
        """Waits until all lines are written, but not longer than `flush_seconds`; logging calls it at exit."""
        with self.queue.all_tasks_done:
            self.queue.all_tasks_done.wait_for(
                lambda: not self.queue.unfinished_tasks, self._flush_seconds
            )


class StderrListener(QueueListener):
    """Writes queued lines to standard error, in a daemon thread.

    It holds no lock of `logging` while it writes, so that a blocked standard error cannot block the exit.
    """

    def handle(self, line: str) -> None:  # type: ignore[override]  # what the handler enqueued
        """Writes one line."""
        # an error means that nobody reads standard error any more; there is nowhere to report it
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def timestamp(seconds: float) -> str:
    """Formats seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def set_up_logs(level: str, flush_seconds: float = FLUSH_SECONDS) -> None:
    """Sends records from `level` up to standard error as JSON lines, written by a thread."""
    lines: Queue[str] = Queue(MAX_QUEUED_LINES)
    handler = DropOldestHandler(lines, flush_seconds)
    handler.setFormatter(JsonFormatter())
    StderrListener(lines).start()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # if uvicorn is the entry point, it has set up its own text logs; Windlass logs requests itself
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
