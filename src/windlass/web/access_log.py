"""Access log: one JSON line a request, written by a thread, so that a slow reader of the log delays no response."""

import logging
import os
import threading
import time

from windlass.logs import timestamp
from windlass.web.messages import Request

FLUSH_SECONDS = 0.2  # between two writes
MAX_WAITING = 200_000  # lines; beyond, lines are dropped and counted

_LINE = (
    b'{"time":"%b","level":"info","logger":"windlass.request","event":"request","request_id":"%b",'
    b'"method":"%b","route":"%b","status":%d,"latency_ms":%.3f,"version":"%b"}\n'
)
_log = logging.getLogger("windlass.serving")


class AccessLog:
    """Buffers the lines of finished requests and writes them to standard error."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._dropped = 0
        self._millisecond = -1
        self._stamp = b""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._enabled = logging.getLogger("windlass.request").isEnabledFor(logging.INFO)

    def start(self) -> None:
        """Starts the thread that writes."""
        self._enabled = logging.getLogger("windlass.request").isEnabledFor(logging.INFO)
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes what is left, and blocks for two seconds at most."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def write(self, request: Request, route: str, status: int, seconds: float) -> None:
        """Adds the line of a finished request; `seconds` is how long it took."""
        if not self._enabled:
            return
        if len(self._lines) >= MAX_WAITING:
            self._dropped += 1
            return
        now = time.time()
        if int(now * 1000) != self._millisecond:
            self._millisecond = int(now * 1000)
            self._stamp = timestamp(now).encode()
        method = request.head.method.encode()
        version = request.version.encode()
        self._lines.append(
            _LINE
            % (
                self._stamp,
                request.request_id,
                method,
                route.encode(),
                status,
                seconds * 1e3,
                version,
            )
        )

    def _work(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("request lines dropped", extra={"count": dropped})
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            pass  # standard error is closed; there is nowhere to report it
