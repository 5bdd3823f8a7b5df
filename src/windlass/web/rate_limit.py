"""Rate limits of keys: a sliding window of one minute, counted over all workers of a server.

The last whole minute counts by the share of it that is still within sixty seconds. Every worker writes counters
of its own, and reads the others' at most every `SUM_SECONDS`.
"""

from collections.abc import Sequence
from math import ceil

from windlass.monitoring.shared_counters import Numbers, PeerCounters, SharedCounters

WINDOW = 60.0  # seconds
SUM_SECONDS = 0.1
_WIDTH = 4  # the number of a minute and its count: for the even minute, and for the odd one

_FIELDS = b'ratelimit-policy: "key";q=%d;w=%d\r\nratelimit: "key";r=%%d;t=%d\r\n'


class RateLimits:
    """The rate limiters of one worker.

    One thread creates and refreshes them; another one uses them.
    """

    def __init__(self, cells: SharedCounters) -> None:
        self._cells = cells
        self._peers = PeerCounters(cells)
        self._limiters: dict[str, RateLimiter] = {}

    def limiter(self, name: str, rate: int) -> "RateLimiter":
        """Returns the limiter of the key of this name, created on first use; `rate` is in requests a minute."""
        limiter = self._limiters.get(name)
        if limiter is None or limiter.rate != rate:
            limiter = self._limiters[name] = RateLimiter(
                rate, self._cells.series(("rate", name), _WIDTH)
            )
        return limiter

    def refresh(self) -> None:
        """Finds other workers, and their counters."""
        self._peers.refresh()
        for name, limiter in self._limiters.items():
            limiter.other_workers = self._peers.cells(("rate", name))

    def close(self) -> None:
        """Closes the counters; their file stays, for the other workers and for a successor."""
        self._cells.close()


class RateLimiter:
    """Rate limiter of one key in one worker. `now` is in seconds of a clock that all workers share."""

    __slots__ = (
        "_cells", "_fields", "_minute", "_other_count", "_refreshed", "_slot", "other_workers",
        "previous_count", "rate",
    )  # fmt: skip

    def __init__(self, rate: int, cells: Numbers) -> None:
        self.rate = rate
        self.other_workers: Sequence[Numbers] = ()
        self.previous_count = 0.0  # of the last whole minute, by all workers
        self._other_count = 0.0  # the others' count of this minute, and the share of the last one
        self._cells = cells
        self._fields = b""
        self._minute = -1.0
        self._slot = 1
        self._refreshed = -1.0

    def acquire(self, now: float) -> tuple[int, bytes]:
        """Counts one request, unless it is over the rate.

        Returns 0, or the seconds to wait; and the RateLimit header lines of the response.
        """
        if not 0.0 <= now - self._refreshed < SUM_SECONDS:
            self._refresh(now)
        used = self._cells[self._slot] + self._other_count
        if used >= self.rate:
            self._refresh(now)
            used = self._cells[self._slot] + self._other_count
            if used >= self.rate:
                return self._rejection(now)
        self._cells[self._slot] += 1.0
        return 0, self._fields % int(self.rate - used - 1.0)

    def _refresh(self, now: float) -> None:
        """Reads the other workers' counts, and weighs the last minute."""
        minute, passed = divmod(now, WINDOW)
        if minute != self._minute:
            self._start_minute(minute)
        last = minute - 1.0
        self.previous_count = _count(self._cells, last) + sum(
            _count(cells, last) for cells in self.other_workers
        )
        elsewhere = sum(_count(cells, minute) for cells in self.other_workers)
        self._other_count = elsewhere + self.previous_count * (1.0 - passed / WINDOW)
        self._fields = _FIELDS % (self.rate, WINDOW, WINDOW - int(passed))
        self._refreshed = now

    def _start_minute(self, minute: float) -> None:
        """Starts another minute, in the counters of the one before the last."""
        self._minute = minute
        self._slot = 1 if minute % 2 == 0 else 3
        # else it is a predecessor's, which ended in this minute
        if self._cells[self._slot - 1] != minute:
            self._cells[self._slot] = 0.0
            self._cells[self._slot - 1] = minute

    def _rejection(self, now: float) -> tuple[int, bytes]:
        """Returns the seconds until one more request fits, if no other comes: the last minute's weight declines."""
        passed = now % WINDOW
        count = (
            self._cells[self._slot]
            + self._other_count
            - self.previous_count * (1.0 - passed / WINDOW)
        )
        free = self.rate - count
        if free > 0 and self.previous_count > 0:
            seconds = WINDOW * (1.0 - free / self.previous_count) - passed
        else:  # not in this minute: this one must decline itself
            seconds = WINDOW - passed + WINDOW * (1.0 - self.rate / max(count, self.rate))
        wait = max(1, ceil(seconds))
        return wait, _FIELDS % (self.rate, WINDOW, wait) % 0


def _count(cells: Numbers, minute: float) -> float:
    """Returns what a worker counted in this minute."""
    slot = 0 if minute % 2 == 0 else 2
    return cells[slot + 1] if cells[slot] == minute else 0.0
