"""How often each key is used, counted over all workers of a server, and held to its rate.

The window slides: what the last whole minute holds counts by the share of it that is still within sixty
seconds. Every worker counts into cells of its own, and reads the others' at most every `SUM_SECONDS`.
"""

from collections.abc import Sequence
from math import ceil

from windlass.monitoring.shared_counters import Numbers, PeerCounters, SharedCounters

WINDOW = 60.0  # seconds
SUM_SECONDS = 0.1
_WIDTH = 4  # a minute's number and its count, for the even minute and for the odd one

_FIELDS = b'ratelimit-policy: "key";q=%d;w=%d\r\nratelimit: "key";r=%%d;t=%d\r\n'


class RateLimits:
    """The meters of one worker. Made and refreshed by one thread; each meter is read by another."""

    def __init__(self, cells: SharedCounters) -> None:
        self._cells = cells
        self._peers = PeerCounters(cells)
        self._meters: dict[str, RateLimiter] = {}

    def meter(self, name: str, rate: int) -> "RateLimiter":
        """The meter of the key of this name, made on first use; `rate` is in requests a minute."""
        found = self._meters.get(name)
        if found is None or found.rate != rate:
            found = self._meters[name] = RateLimiter(
                rate, self._cells.series(("rate", name), _WIDTH)
            )
        return found

    def refresh(self) -> None:
        """Look for other workers, and for what they count."""
        self._peers.look()
        for name, meter in self._meters.items():
            meter.others = self._peers.of(("rate", name))

    def close(self) -> None:
        """Leave what was counted to the other workers, and to a successor."""
        self._cells.close()


class RateLimiter:
    """One key's use, as one worker sees it. `now` is in seconds of a clock that all workers share."""

    __slots__ = (
        "_beside",
        "_cells",
        "_fields",
        "_minute",
        "_place",
        "_read",
        "before",
        "others",
        "rate",
    )

    def __init__(self, rate: int, cells: Numbers) -> None:
        self.rate = rate
        self.others: Sequence[Numbers] = ()
        self.before = 0.0  # of the last whole minute, by all workers
        self._beside = 0.0  # what counts beside this worker's minute: the others', and the share of the last one
        self._cells = cells
        self._fields = b""
        self._minute = -1.0
        self._place = 1
        self._read = -1.0

    def take(self, now: float) -> tuple[int, bytes]:
        """Count one request, unless that is one too many.

        Returns 0, or the seconds after which one may be sent again; and the answer's RateLimit fields as lines.
        """
        if not 0.0 <= now - self._read < SUM_SECONDS:
            self._look(now)
        used = self._cells[self._place] + self._beside
        if used >= self.rate:
            self._look(now)
            used = self._cells[self._place] + self._beside
            if used >= self.rate:
                return self._refuse(now)
        self._cells[self._place] += 1.0
        return 0, self._fields % int(self.rate - used - 1.0)

    def _look(self, now: float) -> None:
        """See what others count, and how much of the last minute still does."""
        minute, passed = divmod(now, WINDOW)
        if minute != self._minute:
            self._turn(minute)
        last = minute - 1.0
        self.before = _count(self._cells, last) + sum(_count(cells, last) for cells in self.others)
        elsewhere = sum(_count(cells, minute) for cells in self.others)
        self._beside = elsewhere + self.before * (1.0 - passed / WINDOW)
        self._fields = _FIELDS % (self.rate, WINDOW, WINDOW - int(passed))
        self._read = now

    def _turn(self, minute: float) -> None:
        """Begin another minute, in the cells of the one before the last."""
        self._minute = minute
        self._place = 1 if minute % 2 == 0 else 3
        if self._cells[self._place - 1] != minute:  # else it is a predecessor's, who died in it
            self._cells[self._place] = 0.0
            self._cells[self._place - 1] = minute

    def _refuse(self, now: float) -> tuple[int, bytes]:
        """Seconds until one more fits, if nothing else is counted: the last minute's weight wanes."""
        passed = now % WINDOW
        count = self._cells[self._place] + self._beside - self.before * (1.0 - passed / WINDOW)
        free = self.rate - count
        if free > 0 and self.before > 0:
            seconds = WINDOW * (1.0 - free / self.before) - passed
        else:  # not in this minute: it must wane itself
            seconds = WINDOW - passed + WINDOW * (1.0 - self.rate / max(count, self.rate))
        wait = max(1, ceil(seconds))
        return wait, _FIELDS % (self.rate, WINDOW, wait) % 0


def _count(cells: Numbers, minute: float) -> float:
    """What a worker counted in this minute."""
    place = 0 if minute % 2 == 0 else 2
    return cells[place + 1] if cells[place] == minute else 0.0
