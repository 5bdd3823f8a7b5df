"""Who is let in: keys, roles, rates and wrong tries, in front of a real service with a real database."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest
from tests.support.waiting import is_quick, wait_until

from windlass.auth.key import ApiKey, Role
from windlass.auth.key_source import DatabaseKeySource, KeySource
from windlass.auth.key_store import KeyStore
from windlass.errors import StorageError
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.web.asgi import AsgiService
from windlass.web.authentication import MAX_LOG_LINES, REFRESH_SECONDS, Authenticator
from windlass.web.messages import Request, Response
from windlass.web.rate_limit import RateLimits
from windlass.web.routing import Route

CONFIGURED = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"
WITHIN = 2.0  # seconds until a change must have reached a server
Guarded = Callable[..., "GuardedService"]


@dataclass
class RecordedResponse:
    """An answer, and whether the body of its request was read."""

    status: int
    headers: dict[bytes, bytes]
    content: bytes
    read: bool

    @property
    def detail(self) -> str:
        return str(orjson.loads(self.content)["detail"])


class GuardedService:
    """A service with a route for every role, and who came in there."""

    def __init__(self, authenticator: Authenticator | None) -> None:
        self.authenticator = authenticator
        self.actors: list[str] = []
        routes = [Route("POST", f"/{role.value}", self.enter, role=role) for role in Role]
        routes += [
            Route("GET", "/get", self.enter, role=Role.PREDICT),
            Route("GET", "/models/{model}", self.enter, role=Role.PREDICT),
            Route("GET", "/open", self.enter),
        ]
        self.service = AsgiService(
            routes,
            ServerMetrics(SharedCounters()),
            max_body=100,
            lifespan=self,
            access=authenticator,
        )

    async def start(self) -> None:
        """Nothing to acquire."""

    async def stop(self) -> None:
        """Nothing to release."""

    async def enter(self, request: Request) -> Response:
        await request.body()
        self.actors.append(request.actor)
        return Response(b"in", b"text/plain")

    def ask(
        self, path: str = "/predict", *headers: tuple[str, bytes], method: str = "POST", client: Any = ("10.0.0.1", 1)
    ) -> RecordedResponse:  # fmt: skip
        sent: list[dict[str, Any]] = []
        read: list[bool] = []

        async def receive() -> dict[str, Any]:
            read.append(True)
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "client": client,
            "headers": [(name.encode(), value) for name, value in headers],
        }  # fmt: skip
        asyncio.run(self.service(scope, receive, send))
        start, body = sent
        return RecordedResponse(start["status"], dict(start["headers"]), body["body"], bool(read))

    def key(self, secret: str | bytes, path: str = "/predict", **options: Any) -> RecordedResponse:
        value = secret if isinstance(secret, bytes) else secret.encode()
        return self.ask(path, ("x-api-key", value), **options)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, auth=True, api_keys=f"env:approve:{CONFIGURED}")


@pytest.fixture
def keys(settings: Settings) -> Iterator[KeyStore]:
    keys = KeyStore(Database.open(settings))
    yield keys
    keys.close()


@pytest.fixture
def guarded(settings: Settings) -> Iterator[Guarded]:
    services: list[GuardedService] = []

    def make(
        source: KeySource | None = None,
        settings: Settings = settings,
        refresh: float = REFRESH_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> GuardedService:
        source, rates = source or DatabaseKeySource(settings), RateLimits(SharedCounters())
        authenticator = Authenticator(source, rates, settings, refresh, clock)
        authenticator.start()
        services.append(GuardedService(authenticator))
        return services[-1]

    yield make
    for service in services:
        assert service.authenticator is not None
        service.authenticator.stop()


class UnreliableSource:
    """A database that is there, or away."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.away: Exception | None = StorageError("The database is away.")
        self.reads = 0

    def read(self) -> dict[str, ApiKey]:
        self.reads += 1
        if self.away is not None:
            raise self.away
        return dict(self.keys)

    def close(self) -> None:
        """Nothing is open."""


def test_both_headers_let_a_key_in_under_its_name(guarded: Guarded, keys: KeyStore) -> None:
    secret = keys.create("ci", Role.PREDICT).encode()
    service = guarded()
    for header in [
        ("x-api-key", secret), ("authorization", b"Bearer " + secret), ("authorization", b"bearer   " + secret + b" "),
    ]:  # fmt: skip
        assert service.ask("/predict", header).status == 200
    twice = service.ask("/predict", ("x-api-key", secret), ("authorization", b"Bearer " + secret))
    beside = service.ask("/predict", ("authorization", b"Basic dXNlcjp4"), ("x-api-key", secret))
    blank = service.ask("/predict", ("x-api-key", b""), ("authorization", b"Bearer " + secret))
    assert [twice.status, beside.status, blank.status] == [200] * 3
    assert service.actors == ["ci"] * 6


@pytest.mark.parametrize("headers", [
    [], [("x-api-key", b"")], [("authorization", b"")], [("authorization", b"Bearer")], [("authorization", b"Bearer ")],
    [("authorization", b"Basic %b")], [("authorization", b"%b")], [("authorization", b"Bearer\t%b")],
    [("x-api-keys", b"%b")], [("cookie", b"x-api-key=%b")],
])  # fmt: skip
def test_a_request_without_a_key_is_refused(
    guarded: Guarded, keys: KeyStore, headers: list[tuple[str, bytes]]
) -> None:
    secret = keys.create("ci", Role.PREDICT).encode()
    service = guarded()
    response = service.ask(
        "/predict", *((name, value.replace(b"%b", secret)) for name, value in headers)
    )
    assert (response.status, response.read, service.actors) == (401, False, [])
    assert response.headers[b"www-authenticate"] == b'Bearer realm="windlass"'
    assert response.detail.startswith("A key is needed. ")


@pytest.mark.parametrize("change", [
    lambda s: s[:-1], lambda s: s + b"a", lambda s: s.swapcase(), lambda s: b" " + s, lambda s: s + b"\x00",
    lambda s: s + "ä".encode(), lambda _: b"\xff\xfe\x00", lambda s: s * 1000, lambda _: b"wl_",
    lambda s: s + b", " + s, lambda s: s[3:], lambda _: "ключ".encode(), lambda _: b'"}\n{"event":"auth',
])  # fmt: skip
def test_wrong_keys_are_refused(
    guarded: Guarded,
    keys: KeyStore,
    change: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = keys.create("ci", Role.ADMIN).encode()
    service, sent = guarded(), change(secret)
    response = service.key(sent)
    assert (response.status, response.read, service.actors) == (401, False, [])
    assert (
        response.headers[b"www-authenticate"] == b'Bearer realm="windlass", error="invalid_token"'
    )
    (record,) = [record for record in caplog.records if record.name == "windlass.auth"]
    assert (record.getMessage(), vars(record)["address"]) == ("auth failed", "10.0.0.1")
    assert vars(record)["reason"] == ("too long" if len(sent) > 512 else "unknown or revoked")
    written = repr(vars(record)) + response.content.decode()
    assert sent.decode("latin-1") not in written.replace("\\\\", "\\")
    assert secret.decode() not in written


def test_two_keys_in_a_request_are_refused(guarded: Guarded, keys: KeyStore) -> None:
    first, other = (keys.create(name, Role.ADMIN).encode() for name in ("a", "b"))
    service = guarded()
    for pair in [
        (("x-api-key", first), ("x-api-key", other)), (("x-api-key", first), ("authorization", b"Bearer " + other)),
        (("x-api-key", b"x"), ("x-api-key", b""), ("x-api-key", first)),
    ]:  # fmt: skip
        response = service.ask("/predict", *pair)
        assert (response.status, response.detail) == (401, "More than one key was sent.")
    assert service.actors == []


@pytest.mark.parametrize("held", list(Role))
def test_routes_need_their_roles(guarded: Guarded, keys: KeyStore, held: Role) -> None:
    secret, service = keys.create("ci", held), guarded()
    for needed in Role:
        response = service.key(secret, f"/{needed.value}")
        assert response.status == (200 if held.includes(needed) else 403)
        if response.status == 403:
            assert (response.read, response.detail) == (
                False,
                f"This needs a key with the role {needed.value}.",
            )
            wanted = b'error="insufficient_scope", scope="%b"' % needed.value.encode()
            assert response.headers[b"www-authenticate"].endswith(wanted)


def test_no_spelling_of_a_path_gets_around_the_key(guarded: Guarded) -> None:
    service = guarded()
    requests = [
        ("POST", "/predict/"), ("POST", "/predict//"), ("GET", "/get"), ("HEAD", "/get"), ("HEAD", "/get/"),
        ("GET", "/models/a"), ("HEAD", "/models/a/"), ("GET", "/models/open"),
    ]  # fmt: skip
    response = {
        (method, path): service.ask(path, method=method).status for method, path in requests
    }
    assert set(response.values()) == {401}, response
    elsewhere = [
        "//predict",
        "/PREDICT",
        "/predict/x",
        "/open/../get",
        "/./get",
        "/get;x",
        "/models/",
    ]
    assert {service.ask(path, method="GET").status for path in elsewhere} == {404}
    assert service.ask("/predict", method="GET").status == 405
    assert service.actors == []
    assert service.ask("/open", method="GET").status == 200
    assert service.ask("/open", ("x-api-key", b"wrong"), method="GET").status == 200


def test_without_authentication_every_route_is_open(settings: Settings) -> None:
    assert Authenticator.from_settings(Settings(home=settings.home)) is None
    service = GuardedService(None)
    assert service.ask("/admin").status == 200
    assert service.actors == [""]


def test_rates_and_their_fields(guarded: Guarded, keys: KeyStore, settings: Settings) -> None:
    slow = keys.create("slow", Role.PREDICT, 3)
    free = keys.create("free", Role.PREDICT)
    service = guarded(clock=lambda: 60_000.0)  # no minute ends meanwhile
    paths = ["/predict", "/train", "/predict", "/predict"]
    answers = [service.key(slow, path) for path in paths]
    assert [response.status for response in answers] == [200, 403, 200, 429]
    left = [response.headers[b"ratelimit"].partition(b";t=")[0] for response in answers]
    assert left == [b'"key";r=2', b'"key";r=1', b'"key";r=0', b'"key";r=0']
    assert {response.headers[b"ratelimit-policy"] for response in answers} == {b'"key";q=3;w=60'}
    last = answers[-1]
    assert 1 <= int(last.headers[b"retry-after"]) <= 120
    assert (last.read, len(service.actors)) == (False, 2)
    assert b"ratelimit" not in service.key(free).headers
    limits = Settings(home=settings.home, auth=True, rate_limit=1)
    limited = guarded(settings=limits, clock=lambda: 60_000.0)
    assert [limited.key(free).status for _ in range(2)] == [200, 429]
    assert [limited.key(slow).status for _ in range(4)] == [200, 200, 200, 429]


def test_failed_attempts_of_an_address_are_limited_and_valid_keys_not(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    service = guarded()
    response = [service.key(f"wrong-{number}") for number in range(50)]
    assert [answer.status for answer in response] == [401] * 10 + [429] * 40
    assert {1 <= int(answer.headers[b"retry-after"]) <= 60 for answer in response[10:]} == {True}
    assert service.key(CONFIGURED).status == 200
    assert service.ask("/predict").status == 401  # no key is no try
    assert service.key("wrong", client=("10.0.0.2", 1)).status == 401
    assert service.key("wrong", client=None).status == 401
    reasons = [
        vars(answer)["reason"] for answer in caplog.records if answer.getMessage() == "auth failed"
    ]
    assert reasons == ["unknown or revoked"] * 10 + ["too many"] + ["unknown or revoked"] * 2


def test_log_lines_are_limited_over_all_addresses(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    service = guarded()
    for number in range(500):
        client = (f"10.0.{number // 250}.{number % 250}", 1)
        assert service.key("wrong", client=client).status == 401
    lines = [record for record in caplog.records if record.getMessage() == "auth failed"]
    assert len(lines) == MAX_LOG_LINES


def test_changed_keys_reach_a_running_server(guarded: Guarded, keys: KeyStore) -> None:
    service = guarded()
    names = iter(["late", "later", "last"])

    def change() -> None:
        name = next(names)
        secret = keys.create(name, Role.PREDICT)
        wait_until(lambda: service.key(secret, client=None).status == 200, "let in")
        keys.revoke(name)
        wait_until(lambda: service.key(secret, client=None).status != 200, "shut out")

    assert is_quick(change, 2 * WITHIN, tries=3)
    assert service.key(CONFIGURED).status == 200


def test_a_database_that_is_away(
    guarded: Guarded, keys: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = UnreliableSource()
    service = guarded(source)
    secret = keys.create("ci", Role.PREDICT)
    response = service.key(secret)
    assert (response.status, response.headers[b"retry-after"]) == (503, b"1")
    assert [service.key(CONFIGURED).status, service.ask("/predict").status] == [200, 401]
    assert [service.key("wrong").status for _ in range(20)] == [503] * 20
    source.keys, source.away = keys.active_keys(), None
    wait_until(lambda: service.key(secret).status == 200, "let in")
    source.away = RuntimeError("what nobody thought of")
    reads = source.reads
    wait_until(lambda: source.reads >= reads + 3, "asked again")
    assert [service.key(secret).status, service.key("wrong").status] == [200, 401]
    source.away, source.keys = None, {}
    wait_until(lambda: service.key(secret).status == 401, "shut out")

    def events() -> list[str]:
        events = [record.getMessage() for record in caplog.records]
        return [event for event in events if event.startswith("keys ")]

    wait_until(lambda: len(events()) >= 4, "told")
    assert events() == ["keys cannot be read", "keys are read again"] * 2


def test_a_start_waits_for_the_keys_and_a_stop_ends_the_thread(
    guarded: Guarded, keys: KeyStore
) -> None:
    secret = keys.create("ci", Role.PREDICT)
    service = guarded(refresh=3600.0)  # so that nothing but the stop ends the thread
    assert service.key(secret).status == 200  # at once
    assert service.authenticator is not None
    thread = service.authenticator._thread
    service.authenticator.stop()
    wait_until(lambda: not thread.is_alive(), "its end")
