"""Who is let in: keys, roles, rates and wrong tries, in front of a real service with a real database."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
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
from windlass.web import authentication
from windlass.web.asgi import AsgiService
from windlass.web.authentication import MAX_LOG_LINES, REFRESH_SECONDS, Authenticator
from windlass.web.messages import Request, Response
from windlass.web.rate_limit import RateLimits
from windlass.web.routing import Route

CONFIGURED = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"
WITHIN = 2.0  # seconds until a change must have reached a server
Guarded = Callable[..., "House"]


@dataclass
class Told:
    """An answer, and whether the body of its request was read."""

    status: int
    headers: dict[bytes, bytes]
    content: bytes
    read: bool

    @property
    def detail(self) -> str:
        return str(orjson.loads(self.content)["detail"])


class House:
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
            start=self.nothing,
            stop=self.nothing,
            authenticator=authenticator,
        )

    async def nothing(self) -> None:
        """Start and stop of a service that has nothing to start."""

    async def enter(self, request: Request) -> Response:
        await request.body()
        self.actors.append(request.actor)
        return Response(b"in", b"text/plain")

    def ask(
        self, path: str = "/predict", *headers: tuple[str, bytes], method: str = "POST", client: Any = ("10.0.0.1", 1)
    ) -> Told:  # fmt: skip
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
        return Told(start["status"], dict(start["headers"]), body["body"], bool(read))

    def key(self, secret: str | bytes, path: str = "/predict", **how: Any) -> Told:
        value = secret if isinstance(secret, bytes) else secret.encode()
        return self.ask(path, ("x-api-key", value), **how)


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
    houses: list[House] = []

    def make(
        source: KeySource | None = None,
        settings: Settings = settings,
        refresh: float = REFRESH_SECONDS,
    ) -> House:
        authenticator = Authenticator(
            source or DatabaseKeySource(settings), RateLimits(SharedCounters()), settings, refresh
        )
        authenticator.start()
        houses.append(House(authenticator))
        return houses[-1]

    yield make
    for house in houses:
        assert house.authenticator is not None
        house.authenticator.stop()


class Shaky:
    """A database that is there, or away."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.away: Exception | None = StorageError("The database is away.")
        self.asked = 0

    def read(self) -> dict[str, ApiKey]:
        self.asked += 1
        if self.away is not None:
            raise self.away
        return dict(self.keys)

    def close(self) -> None:
        """Nothing is open."""


def test_both_headers_let_a_key_in_under_its_name(guarded: Guarded, keys: KeyStore) -> None:
    secret = keys.create("ci", Role.PREDICT).encode()
    house = guarded()
    for header in [
        ("x-api-key", secret), ("authorization", b"Bearer " + secret), ("authorization", b"bearer   " + secret + b" "),
    ]:  # fmt: skip
        assert house.ask("/predict", header).status == 200
    twice = house.ask("/predict", ("x-api-key", secret), ("authorization", b"Bearer " + secret))
    beside = house.ask("/predict", ("authorization", b"Basic dXNlcjp4"), ("x-api-key", secret))
    blank = house.ask("/predict", ("x-api-key", b""), ("authorization", b"Bearer " + secret))
    assert [twice.status, beside.status, blank.status] == [200] * 3
    assert house.actors == ["ci"] * 6


@pytest.mark.parametrize("headers", [
    [], [("x-api-key", b"")], [("authorization", b"")], [("authorization", b"Bearer")], [("authorization", b"Bearer ")],
    [("authorization", b"Basic %b")], [("authorization", b"%b")], [("authorization", b"Bearer\t%b")],
    [("x-api-keys", b"%b")], [("cookie", b"x-api-key=%b")],
])  # fmt: skip
def test_no_key(guarded: Guarded, keys: KeyStore, headers: list[tuple[str, bytes]]) -> None:
    secret = keys.create("ci", Role.PREDICT).encode()
    house = guarded()
    told = house.ask("/predict", *((name, value.replace(b"%b", secret)) for name, value in headers))
    assert (told.status, told.read, house.actors) == (401, False, [])
    assert told.headers[b"www-authenticate"] == b'Bearer realm="windlass"'
    assert told.detail.startswith("A key is needed. ")


@pytest.mark.parametrize("change", [
    lambda s: s[:-1], lambda s: s + b"a", lambda s: s.swapcase(), lambda s: b" " + s, lambda s: s + b"\x00",
    lambda s: s + "ä".encode(), lambda _: b"\xff\xfe\x00", lambda s: s * 1000, lambda _: b"wl_",
    lambda s: s + b", " + s, lambda s: s[3:], lambda _: "ключ".encode(), lambda _: b'"}\n{"event":"auth',
])  # fmt: skip
def test_wrong_keys(
    guarded: Guarded,
    keys: KeyStore,
    change: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = keys.create("ci", Role.ADMIN).encode()
    house, sent = guarded(), change(secret)
    told = house.key(sent)
    assert (told.status, told.read, house.actors) == (401, False, [])
    assert told.headers[b"www-authenticate"] == b'Bearer realm="windlass", error="invalid_token"'
    (record,) = [record for record in caplog.records if record.name == "windlass.auth"]
    assert (record.getMessage(), vars(record)["address"]) == ("auth failed", "10.0.0.1")
    assert vars(record)["reason"] == ("too long" if len(sent) > 512 else "unknown or revoked")
    shown = repr(vars(record)) + told.content.decode()
    assert sent.decode("latin-1") not in shown.replace("\\\\", "\\")
    assert secret.decode() not in shown


def test_two_keys_are_none(guarded: Guarded, keys: KeyStore) -> None:
    one, other = (keys.create(name, Role.ADMIN).encode() for name in ("a", "b"))
    house = guarded()
    for pair in [
        (("x-api-key", one), ("x-api-key", other)), (("x-api-key", one), ("authorization", b"Bearer " + other)),
        (("x-api-key", b"x"), ("x-api-key", b""), ("x-api-key", one)),
    ]:  # fmt: skip
        told = house.ask("/predict", *pair)
        assert (told.status, told.detail) == (401, "More than one key was sent.")
    assert house.actors == []


@pytest.mark.parametrize("held", list(Role))
def test_roles(guarded: Guarded, keys: KeyStore, held: Role) -> None:
    secret, house = keys.create("ci", held), guarded()
    for needed in Role:
        told = house.key(secret, f"/{needed.value}")
        assert told.status == (200 if held.includes(needed) else 403)
        if told.status == 403:
            assert (told.read, told.detail) == (
                False,
                f"This takes a key with the role {needed.value}.",
            )
            wanted = b'error="insufficient_scope", scope="%b"' % needed.value.encode()
            assert told.headers[b"www-authenticate"].endswith(wanted)


def test_no_way_around(guarded: Guarded) -> None:
    house = guarded()
    asked = [
        ("POST", "/predict/"), ("POST", "/predict//"), ("GET", "/get"), ("HEAD", "/get"), ("HEAD", "/get/"),
        ("GET", "/models/a"), ("HEAD", "/models/a/"), ("GET", "/models/open"),
    ]  # fmt: skip
    told = {(method, path): house.ask(path, method=method).status for method, path in asked}
    assert set(told.values()) == {401}, told
    elsewhere = [
        "//predict",
        "/PREDICT",
        "/predict/x",
        "/open/../get",
        "/./get",
        "/get;x",
        "/models/",
    ]
    assert {house.ask(path, method="GET").status for path in elsewhere} == {404}
    assert house.ask("/predict", method="GET").status == 405
    assert house.actors == []
    assert house.ask("/open", method="GET").status == 200
    assert house.ask("/open", ("x-api-key", b"wrong"), method="GET").status == 200


def test_no_guard_asks_for_nothing(settings: Settings) -> None:
    assert Authenticator.from_settings(Settings(home=settings.home)) is None
    house = House(None)
    assert house.ask("/admin").status == 200
    assert house.actors == [""]


def test_rates_and_their_fields(
    guarded: Guarded, keys: KeyStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "monotonic", lambda: 60_000.0)  # no minute ends meanwhile
    slow = keys.create("slow", Role.PREDICT, 3)
    free = keys.create("free", Role.PREDICT)
    house = guarded()
    paths = ["/predict", "/train", "/predict", "/predict"]
    answers = [house.key(slow, path) for path in paths]
    assert [told.status for told in answers] == [200, 403, 200, 429]
    left = [told.headers[b"ratelimit"].partition(b";t=")[0] for told in answers]
    assert left == [b'"key";r=2', b'"key";r=1', b'"key";r=0', b'"key";r=0']
    assert {told.headers[b"ratelimit-policy"] for told in answers} == {b'"key";q=3;w=60'}
    last = answers[-1]
    assert 1 <= int(last.headers[b"retry-after"]) <= 120
    assert (last.read, len(house.actors)) == (False, 2)
    assert b"ratelimit" not in house.key(free).headers
    limited = guarded(settings=Settings(home=settings.home, auth=True, rate_limit=1))
    assert [limited.key(free).status for _ in range(2)] == [200, 429]
    assert [limited.key(slow).status for _ in range(4)] == [200, 200, 200, 429]


def test_wrong_tries_of_an_address_are_limited_and_right_ones_not(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    house = guarded()
    told = [house.key(f"wrong-{number}") for number in range(50)]
    assert [one.status for one in told] == [401] * 10 + [429] * 40
    assert {1 <= int(one.headers[b"retry-after"]) <= 60 for one in told[10:]} == {True}
    assert house.key(CONFIGURED).status == 200
    assert house.ask("/predict").status == 401  # no key is no try
    assert house.key("wrong", client=("10.0.0.2", 1)).status == 401
    assert house.key("wrong", client=None).status == 401
    reasons = [vars(one)["reason"] for one in caplog.records if one.getMessage() == "auth failed"]
    assert reasons == ["unknown or revoked"] * 10 + ["too many"] + ["unknown or revoked"] * 2


def test_log_lines_are_limited_over_all_addresses(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    house = guarded()
    for number in range(500):
        client = (f"10.0.{number // 250}.{number % 250}", 1)
        assert house.key("wrong", client=client).status == 401
    lines = [one for one in caplog.records if one.getMessage() == "auth failed"]
    assert len(lines) == MAX_LOG_LINES


def test_changes_reach_a_running_guard(guarded: Guarded, keys: KeyStore) -> None:
    house = guarded()
    names = iter(["late", "later", "last"])

    def change() -> None:
        name = next(names)
        secret = keys.create(name, Role.PREDICT)
        wait_until(lambda: house.key(secret, client=None).status == 200, "let in")
        keys.revoke(name)
        wait_until(lambda: house.key(secret, client=None).status != 200, "shut out")

    assert is_quick(change, 2 * WITHIN, tries=3)
    assert house.key(CONFIGURED).status == 200


def test_a_database_that_is_away(
    guarded: Guarded, keys: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shaky = Shaky()
    house = guarded(shaky)
    secret = keys.create("ci", Role.PREDICT)
    told = house.key(secret)
    assert (told.status, told.headers[b"retry-after"]) == (503, b"1")
    assert [house.key(CONFIGURED).status, house.ask("/predict").status] == [200, 401]
    assert [house.key("wrong").status for _ in range(20)] == [503] * 20
    shaky.keys, shaky.away = keys.active_keys(), None
    wait_until(lambda: house.key(secret).status == 200, "let in")
    shaky.away = RuntimeError("what nobody thought of")
    asked = shaky.asked
    wait_until(lambda: shaky.asked >= asked + 3, "asked again")
    assert [house.key(secret).status, house.key("wrong").status] == [200, 401]
    shaky.away, shaky.keys = None, {}
    wait_until(lambda: house.key(secret).status == 401, "shut out")

    def told_of() -> list[str]:
        events = [one.getMessage() for one in caplog.records]
        return [event for event in events if event.startswith("keys ")]

    wait_until(lambda: len(told_of()) >= 4, "told")
    assert told_of() == ["keys cannot be read", "keys are read again"] * 2


def test_a_start_waits_for_the_keys_and_a_stop_ends_the_thread(
    guarded: Guarded, keys: KeyStore
) -> None:
    secret = keys.create("ci", Role.PREDICT)
    house = guarded(refresh=3600.0)  # so that nothing but the stop ends the thread
    assert house.key(secret).status == 200  # at once
    assert house.authenticator is not None
    thread = house.authenticator._thread
    house.authenticator.stop()
    wait_until(lambda: not thread.is_alive(), "its end")
