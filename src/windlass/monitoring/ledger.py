"""The ledger: segment files to which every answered prediction is appended before its answer is sent.

A segment belongs to one process. `.jsonl` segments hold one line after another, `.arrows` segments one Arrow IPC
stream after another, as `ledger_record` encodes them.
"""

import errno
import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from windlass.core.atomic_files import make_private_folder
from windlass.errors import LedgerError
from windlass.monitoring.shared_counters import Numbers

SEGMENT_BYTES = 64 << 20
SEGMENT_SECONDS = 3600.0
SEGMENT_SUFFIXES = (".jsonl", ".arrows")

_PROBE_BYTES = 4096  # a block of most file systems
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckTimings:
    """Times of the check whether a ledger can be written, in seconds."""

    probe: float = 1.0  # between two writes of a probe
    failure: float = 5.0  # for which a failed append counts, as the Retry-After of its answer


_CHECK_TIMINGS = CheckTimings()


class Ledger:
    """Appends records to the segments of one project.

    Safe to call from several threads.

    `append` takes a line, `append_table` an Arrow stream. A record survives the death of this process once the call
    has returned; a failed append leaves nothing in the file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
        failures: Numbers | None = None,
        timings: CheckTimings = _CHECK_TIMINGS,
    ) -> None:
        """`failures` is a counter of failed appends."""
        counter = memoryview(bytearray(8)).cast("d") if failures is None else failures
        self.folder = folder
        self._lines = _Segments(folder, ".jsonl", segment_bytes, segment_seconds, counter)
        self._tables = _Segments(folder, ".arrows", segment_bytes, segment_seconds, counter)
        self._timings = timings
        self._probed_at = -timings.probe
        self._reason: str | None = None
        try:
            make_private_folder(folder)
        except OSError as error:
            raise LedgerError(
                f"Cannot keep a ledger in {folder}: {error.strerror}. Set WINDLASS_HOME to a folder that can be"
                " written, or WINDLASS_LEDGER=off."
            ) from error
        self.append = self._lines.append
        self.append_table = self._tables.append

    def close(self) -> None:
        """Closes the open segments."""
        self._lines.close()
        self._tables.close()

    def unwritable_reason(self) -> str | None:
        """Returns why nothing can be appended now; None where it can.

        An append that failed a moment ago is the reason. Otherwise a block is written to a file without a name, so
        that a server learns of free space without a request that could fail.
        """
        now = time.monotonic()
        for segments in (self._lines, self._tables):
            failure = segments.failure
            if failure is not None and now - failure.at < self._timings.failure:
                return failure.reason
        if now - self._probed_at >= self._timings.probe:
            reason = _probe(self.folder)
            if reason is not None and self._reason is None:
                _log.error(
                    "ledger cannot be written",
                    extra={"folder": str(self.folder), "reason": reason},
                )
            self._probed_at, self._reason = now, reason
        return self._reason


@dataclass(frozen=True)
class _Failure:
    """A failed append, and when it happened on the monotonic clock."""

    at: float
    reason: str


def _reason(error: OSError) -> str:
    return f"The ledger cannot be written: {error.strerror}."


def _probe(folder: Path) -> str | None:
    try:
        make_private_folder(folder)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            if file.write(bytes(_PROBE_BYTES)) != _PROBE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        return _reason(error)
    return None


class _Segments:
    """Segments of one format, one of them open at a time."""

    def __init__(
        self, folder: Path, suffix: str, max_bytes: int, max_seconds: float, failures: Numbers
    ) -> None:
        self.failure: _Failure | None = None  # of the last append
        self._failures = failures
        self._folder = folder
        self._suffix = suffix
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._expires_at = 0.0

    def append(self, record: bytes | memoryview) -> None:
        """Writes one whole record. Raises LedgerError, and leaves nothing of it, where that fails."""
        with self._lock:
            try:
                if (
                    self._file < 0
                    or self._size >= self._max_bytes
                    or time.monotonic() >= self._expires_at
                ):
                    self._open_next()
                self._write(record)
                if not os.fstat(self._file).st_nlink:  # somebody deleted the segment
                    self._open_next()
                    self._write(record)
                self._size += len(record)
                self.failure = None
            except OSError as error:
                self._truncate()
                self._failures[0] += 1
                self.failure = _Failure(time.monotonic(), _reason(error))
                raise LedgerError(
                    f"Cannot append to the ledger in {self._folder}: {error.strerror}. Free space on its disk."
                ) from error

    def close(self) -> None:
        """Closes the open segment; the next append opens another."""
        with self._lock:
            self._close()

    def _open_next(self) -> None:
        self._close()
        make_private_folder(self._folder)  # it may have been deleted with its segments
        name = f"{time.time_ns()}-{os.getpid()}{self._suffix}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o600)
        self._size = 0
        self._expires_at = time.monotonic() + self._max_seconds

    def _write(self, record: bytes | memoryview) -> None:
        if os.write(self._file, record) != len(record):
            self._write_rest(record)

    def _write_rest(self, record: bytes | memoryview) -> None:
        """Writes what a short write left over. Only this process writes to the file, so its size says how much."""
        rest = memoryview(record)[os.fstat(self._file).st_size - self._size :]
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _truncate(self) -> None:
        if self._file >= 0:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
