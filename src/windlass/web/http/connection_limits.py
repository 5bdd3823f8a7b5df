"""Bounds of connections: how many, how long they may take, and how many bytes are read for them."""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds of the connections of one process, in bytes and seconds; those of time hold to within `sweep`."""

    connections: int = 1000  # beyond, clients get 503
    head: int = 64 << 10  # of a request's line and headers
    whole_body: int = 64 << 10  # larger bodies are read by their handlers, piece by piece
    pipeline: int = 64 << 10  # that is read ahead while a request is answered
    head_seconds: float = 30.0  # for a head to come
    window: float = 20.0  # in which a body or a response must move on
    window_bytes: int = 10_000  # by so much
    linger: int = 256 << 20  # of a body that is not wanted, read and dropped after the response
    linger_seconds: float = 10.0
    idle_drain: float = 0.5  # that a stop leaves an idle connection for a request that is under way
    sweep: float = 1.0  # between two looks at all connections


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    RESPONSE = auto()  # of the application, which may take as long as it likes
    IDLE = auto()  # for the next request
    LINGER = auto()  # for the client to close


class Deadlines:
    """Says when a connection has taken too long for what it waits for.

    It learns of changes as it is asked, once in each `sweep`.
    """

    def __init__(self, limits: ConnectionLimits, now: float, idle_seconds: float) -> None:
        self._limits = limits
        self._seconds = {
            Phase.HEAD: limits.head_seconds,
            Phase.IDLE: idle_seconds,
            Phase.LINGER: limits.linger_seconds,
        }
        self._state = (Phase.HEAD, 0)
        self._since = now
        self._receiving = _Progress(now)
        self._sending = _Progress(now)

    def has_expired(self, now: float, phase: Phase, requests: int, received: int) -> bool:
        """Returns whether to end the wait; `requests` and `received` count requests and bytes since the beginning."""
        if (phase, requests) != self._state:
            self._state, self._since = (phase, requests), now
            self._receiving.restart(now, received)
        if phase is Phase.BODY:
            return self._receiving.is_stalled(now, received, self._limits)
        return phase in self._seconds and now - self._since >= self._seconds[phase]

    def is_response_stalled(self, now: float, sent: int, unsent: int) -> bool:
        """Returns whether the client reads too slowly; `unsent` are bytes that wait for it."""
        if not unsent:
            self._sending.restart(now, sent)
        return self._sending.is_stalled(now, sent, self._limits)


class _Progress:
    """Whether a count of bytes grows fast enough."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0

    def restart(self, now: float, count: int) -> None:
        """Begins another window."""
        self._since, self._count = now, count

    def is_stalled(self, now: float, count: int, limits: ConnectionLimits) -> bool:
        """Returns whether a window has ended in which too little moved."""
        if now - self._since < limits.window:
            return False
        stalled = count - self._count < limits.window_bytes
        self.restart(now, count)
        return stalled
