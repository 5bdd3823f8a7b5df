"""Retention of a ledger: its size on disk, and the removal of its oldest segments by age and by size."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from windlass.monitoring.ledger import SEGMENT_SECONDS, SEGMENT_SUFFIXES
from windlass.settings import Settings


@dataclass(frozen=True)
class LedgerLimits:
    """How much of one project's ledger is kept: age of the last record of a segment, and bytes of all segments."""

    max_seconds: float | None = None
    max_bytes: int | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether everything is kept."""
        return self.max_seconds is None and self.max_bytes is None


def ledger_limits(settings: Settings) -> LedgerLimits:
    """Returns the limits that the settings name."""
    days, megabytes = settings.ledger_max_days, settings.ledger_max_mb
    return LedgerLimits(
        None if days is None else days * 86_400,
        None if megabytes is None else int(megabytes * (1 << 20)),
    )


@dataclass(frozen=True, order=True)
class _Segment:
    """A segment file; segments sort by the time at which they were begun."""

    begun: int  # nanoseconds since 1970
    path: Path
    bytes: int
    written_at: float  # seconds since 1970

    @property
    def series(self) -> str:
        """The process and the format, which have one open segment at a time."""
        return self.path.name.partition("-")[2]


def ledger_bytes(folder: Path) -> int:
    """Returns the bytes of all segments of a ledger; 0 where there is none."""
    return sum(segment.bytes for segment in _segments(folder))


def remove_old_segments(
    folder: Path, limits: LedgerLimits, segment_seconds: float = SEGMENT_SECONDS
) -> list[Path]:
    """Removes the segments that are older than the limits allow, then the oldest ones above their bytes.

    Returns what was removed. A segment that its process may still append to is kept: the newest of each process,
    until it is older than `segment_seconds`, after which none is appended to.
    """
    segments, now = sorted(_segments(folder)), time.time()
    newest = {segment.series: segment for segment in segments}
    total = sum(segment.bytes for segment in segments)
    removed = []
    for segment in segments:
        age = now - segment.written_at
        is_open = newest[segment.series] is segment and age <= segment_seconds
        is_old = limits.max_seconds is not None and age > limits.max_seconds
        is_excess = limits.max_bytes is not None and total > limits.max_bytes
        if is_open or not (is_old or is_excess):
            continue
        with suppress(FileNotFoundError):  # another worker was first
            segment.path.unlink()
            removed.append(segment.path)
        total -= segment.bytes
    return removed


def _segments(folder: Path) -> Iterator[_Segment]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            begun = entry.name.partition("-")[0]
            if not (begun.isdecimal() and entry.name.endswith(SEGMENT_SUFFIXES)):
                continue
            with suppress(FileNotFoundError):
                stat = entry.stat()
                yield _Segment(int(begun), Path(entry.path), stat.st_size, stat.st_mtime)
