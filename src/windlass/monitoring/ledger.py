"""The ledger: every answered prediction, appended to segment files before its answer leaves.

A segment belongs to one process. `.jsonl` segments hold a line an answer: `{"time", "request_id",
"row" or "rows", "answer"}`; `.arrows` segments hold one Arrow IPC stream after another, each a columnar answer.
"""

import os
import threading
import time
from pathlib import Path

from windlass.errors import LedgerError

SEGMENT_BYTES = 64 << 20
SEGMENT_SECONDS = 3600.0


class Ledger:
    """Appends to the segments of one project. Safe to call from several threads.

    What `append` returned from survives the death of this process; a failed append leaves no trace.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._lines = _Segments(folder, "jsonl", segment_bytes)
        self._tables = _Segments(folder, "arrows", segment_bytes)
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
        """Close the open segments."""
        self._lines.close()
        self._tables.close()


class _Segments:
    """The segments of one form, one open at a time."""

    def __init__(self, folder: Path, suffix: str, limit: int) -> None:
        self._folder = folder
        self._suffix = suffix
        self._limit = limit
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._until = 0.0

    def append(self, record: bytes) -> None:
        """Write one record, whole. Raises LedgerError where it cannot be written, and leaves nothing of it."""
        with self._lock:
            try:
                if self._file < 0 or self._size >= self._limit or time.monotonic() >= self._until:
                    self._roll()
                if os.write(self._file, record) != len(record):
                    self._finish(record)
                self._size += len(record)
            except OSError as error:
                self._undo()
                raise LedgerError(
                    f"Cannot append to the ledger in {self._folder}: {error.strerror}. Free space on its disk."
                ) from error

    def close(self) -> None:
        """Close the open segment; the next append opens another."""
        with self._lock:
            self._close()

    def _roll(self) -> None:
        self._close()
        name = f"{time.time_ns()}-{os.getpid()}.{self._suffix}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o640)
        self._size = 0
        self._until = time.monotonic() + SEGMENT_SECONDS

    def _finish(self, record: bytes) -> None:
        """Write what a short write left over: from the end of the file, for the file is only ours."""
        rest = memoryview(record)[os.fstat(self._file).st_size - self._size :]
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _undo(self) -> None:
        if self._file >= 0:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
