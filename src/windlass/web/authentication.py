"""API keys: checks the key of a request, its role and its rate limit.

Keys come from WINDLASS_API_KEYS and from the database, which a thread polls: a new or revoked key reaches a
running server within two seconds.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from time import monotonic

from windlass.auth.env_keys import MAX_LENGTH, parse_environment_keys
from windlass.auth.failed_attempts import MAX_FAILURES, FailedAttempts
from windlass.auth.key import ApiKey, Role
from windlass.auth.key_source import DatabaseKeySource, KeySource
from windlass.errors import WindlassError
from windlass.monitoring.shared_counters import SharedCounters
from windlass.settings import Settings
from windlass.web.messages import Request
from windlass.web.problems import Problem, unavailable
from windlass.web.rate_limit import RateLimiter, RateLimits
from windlass.web.request_head import RequestHead
from windlass.web.routing import Route

REFRESH_SECONDS = 0.5  # between two reads of the keys
START_SECONDS = 10.0  # longest wait for the keys as a server starts
MAX_LOG_LINES = 60  # about wrong keys, a minute

_CHALLENGE = b'Bearer realm="windlass"'
_log = logging.getLogger("windlass.auth")


class _KeyEntry:
    """A valid key. `allowed_roles` are the roles of the routes that it may call."""

    __slots__ = ("allowed_roles", "hash", "limiter", "name")

    def __init__(self, key: ApiKey, limiter: RateLimiter | None) -> None:
        self.name = key.name
        self.hash = key.hash
        self.allowed_roles = tuple(role for role in Role if key.role.includes(role))
        self.limiter = limiter


class _Credentials:
    """What a head sends as a key: its SHA-256, empty where there is none; or what is wrong with it."""

    __slots__ = ("digest", "fault")

    def __init__(self, digest: str = "", fault: str = "") -> None:
        self.digest = digest
        self.fault = fault


def _read_credentials(head: RequestHead) -> _Credentials:
    """Reads the key of a head, and keeps its hash there: a connection sends the same head again and again."""
    secret, fault = b"", ""
    for name, value in head.headers:
        if name == b"x-api-key":
            sent = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            sent = value[7:].strip()
        else:
            continue
        if sent and secret and sent != secret:
            fault = "two keys"
        secret = sent or secret
    if not fault and len(secret) > MAX_LENGTH:
        fault = "too long"
    digest = sha256(secret).hexdigest() if secret and not fault else ""
    head.credentials = credentials = _Credentials(digest, fault)
    return credentials


class Authenticator:
    """Checks API keys and rate limits; `admit` is for one thread."""

    def __init__(
        self,
        source: KeySource,
        rates: RateLimits,
        settings: Settings,
        refresh: float = REFRESH_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`refresh` is the time between two reads of the source, `clock` the time of rates: both in seconds."""
        self._clock = clock
        self._source = source
        self._rates = rates
        self._refresh_seconds = refresh
        self._default = settings.rate_limit
        self._environment_keys = parse_environment_keys(settings.api_keys)
        self._database_keys: Mapping[str, ApiKey] | None = None  # until the database answers
        self._entries = self._build_entries(self._environment_keys)
        self._failing = False
        self._attempts = FailedAttempts()
        self._failure_log = _FailureLog()
        self._first_read, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._poll_keys, name="keys", daemon=True)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Authenticator | None":
        """Returns the authenticator of one worker process; None where WINDLASS_AUTH is off.

        Raises SettingsError for keys in WINDLASS_API_KEYS that cannot be used.
        """
        if not settings.auth:
            return None
        return cls(
            DatabaseKeySource(settings),
            RateLimits(SharedCounters.in_home(settings.home, "rates")),
            settings,
        )

    def start(self) -> None:
        """Starts polling the database, and blocks until the first read, for START_SECONDS at most."""
        self._thread.start()
        self._first_read.wait(START_SECONDS)

    def stop(self) -> None:
        """Stops polling, and blocks for two seconds at most."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        self._rates.close()

    def admit(self, request: Request, route: Route) -> None:
        """Accepts a request for a route, and sets its `actor`. Raises Problem 401, 403, 429 or 503."""
        if route.role is None:
            return
        sent = request.head.credentials or _read_credentials(request.head)
        assert isinstance(sent, _Credentials)
        if sent.fault:
            raise self._reject(request, sent.fault)
        if not sent.digest:
            raise Problem(
                401,
                "A key is needed. Send it as X-API-Key, or as Authorization: Bearer.",
                headers=[(b"www-authenticate", _CHALLENGE)],
            )
        entry = self._entries.get(sent.digest)
        if entry is None or not compare_digest(entry.hash, sent.digest):
            raise self._reject(request, "unknown or revoked")
        request.actor = entry.name
        if entry.limiter is not None:
            wait, request.rate_limit_headers = entry.limiter.acquire(self._clock())
            if wait:
                raise _too_many_requests(
                    "This key has sent all the requests that its rate allows.", wait
                )
        if route.role not in entry.allowed_roles:
            raise _forbidden(route)

    def _reject(self, request: Request, reason: str) -> Problem:
        """Returns the problem for a wrong key; logs it, without the key, and counts it against the address."""
        if self._database_keys is None and reason != "two keys":
            return unavailable("The keys cannot be read yet.", retry_after=1)
        now = self._clock()
        address = request.client
        count, wait = self._attempts.record(address, now)
        if count <= MAX_FAILURES + 1:
            self._failure_log.write(
                request, address, "too many" if count > MAX_FAILURES else reason, now
            )
        if count > MAX_FAILURES:
            return _too_many_requests("Too many wrong keys came from this address.", wait)
        detail = "More than one key was sent." if reason == "two keys" else "This key is not valid."
        challenge = _CHALLENGE + b', error="invalid_token"'
        return Problem(401, detail, headers=[(b"www-authenticate", challenge)])

    def _poll_keys(self) -> None:
        while True:
            self._refresh()
            self._first_read.set()
            if self._stopped.wait(self._refresh_seconds):
                self._source.close()
                return

    def _refresh(self) -> None:
        """Reads the keys again; where that fails, those that were read last stay valid."""
        try:
            read = self._source.read()
            if read != self._database_keys:
                self._entries = self._build_entries({**read, **self._environment_keys})
                self._database_keys = read
            self._rates.refresh()
        except Exception as error:  # noqa: BLE001 - if this thread ended, no key could be revoked
            if not self._failing:
                reason = str(error) if isinstance(error, WindlassError) else repr(error)
                _log.warning("keys cannot be read", extra={"reason": reason})
            self._failing = True
            return
        if self._failing:
            _log.info("keys are read again")
        self._failing = False

    def _build_entries(self, keys: Mapping[str, ApiKey]) -> dict[str, _KeyEntry]:
        return {key.hash: _KeyEntry(key, self._limiter(key)) for key in keys.values()}

    def _limiter(self, key: ApiKey) -> RateLimiter | None:
        rate = key.rate or self._default
        return None if rate is None else self._rates.limiter(key.name, rate)


class _FailureLog:
    """Logs wrong keys, at most MAX_LOG_LINES a minute; the next line says how many were left out."""

    def __init__(self) -> None:
        self._minute_start = self._written = self._left_out = 0.0

    def write(self, request: Request, address: str, reason: str, now: float) -> None:
        """Logs which address sent a wrong key, and what was wrong with it; never the key."""
        if now - self._minute_start >= 60.0:
            self._minute_start, self._written = now, 0
        if self._written >= MAX_LOG_LINES:
            self._left_out += 1
            return
        self._written += 1
        extra = {"address": address, "reason": reason, "request_id": request.request_id.decode()}
        if self._left_out:
            extra["left_out"] = f"{self._left_out:.0f}"
            self._left_out = 0
        _log.warning("auth failed", extra=extra)


def _too_many_requests(detail: str, wait: int) -> Problem:
    return Problem(
        429, f"{detail} Try again in {wait} s.", headers=[(b"retry-after", b"%d" % wait)]
    )


def _forbidden(route: Route) -> Problem:
    assert route.role is not None
    needed = route.role.value
    challenge = b'%b, error="insufficient_scope", scope="%b"' % (_CHALLENGE, needed.encode())
    return Problem(
        403, f"This needs a key with the role {needed}.", headers=[(b"www-authenticate", challenge)]
    )
