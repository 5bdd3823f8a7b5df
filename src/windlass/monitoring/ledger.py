"""The ledger: segment files to which every answered prediction is appended before its answer is sent.

A segment belongs to one process. `.jsonl` segments hold one line after another, `.arrows` segments one Arrow IPC
stream after another, as `ledger_record` encodes them.
"""

import os
import threading
import time
from pathlib import Path

from windlass.errors import LedgerError

SEGMENT_BYTES = 64 << 20
SEGMENT_SECONDS = 3600.0


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
    ) -> None:
        self._folder = folder
        self._lines = _Segments(folder, "jsonl", segment_bytes, segment_seconds)
        self._tables = _Segments(folder, "arrows", segment_bytes, segment_seconds)
        try:
            folder.mkdir(parents=True, exist_ok=True)
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


class _Segments:
    """Segments of one format, one of them open at a time."""

    def __init__(self, folder: Path, suffix: str, max_bytes: int, max_seconds: float) -> None:
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
                if os.write(self._file, record) != len(record):
                    self._write_rest(record)
                self._size += len(record)
            except OSError as error:
                self._truncate()
                raise LedgerError(
                    f"Cannot append to the ledger in {self._folder}: {error.strerror}. Free space on its disk."
                ) from error

    def close(self) -> None:
        """Closes the open segment; the next append opens another."""
        with self._lock:
            self._close()

    def _open_next(self) -> None:
        self._close()
        name = f"{time.time_ns()}-{os.getpid()}.{self._suffix}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o640)
        self._size = 0
        self._expires_at = time.monotonic() + self._max_seconds

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
