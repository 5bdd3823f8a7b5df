"""Keys of real servers: several workers, a database that goes away, and what no proper client would send."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from tests.support.databases import POSTGRES
from tests.support.server import FLOWER, RawAnswer, Serve, Server, post
from tests.support.waiting import wait_until

from windlass.auth.key import Role
from windlass.auth.key_store import KeyStore
from windlass.settings import Settings
from windlass.storage.database import Database

CONFIGURED = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"
ROW = json.dumps(FLOWER).encode()
RATE = 40  # requests a minute
SPY = """
import atexit, sys
atexit.register(lambda: open(%r, "w").write(" ".join(sys.modules)))
"""


def ask(server: Server, secret: str, *more: str) -> RawAnswer:
    """An answer on a new connection, so that any worker may give it."""
    return server.raw(post("/predict", ROW, f"X-API-Key: {secret}", "Connection: close", *more))


def keys_of(home: Path, url: str | None = None) -> KeyStore:
    return KeyStore(Database.open(Settings(home=home, database_url=url)))


def statuses(server: Server, secret: str) -> set[int]:
    return {ask(server, secret).status for _ in range(12)}


def test_new_and_revoked_keys_reach_every_worker(serve: Serve, iris: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    keys = keys_of(home)
    secret = keys.create("known", Role.ADMIN)
    server = serve(iris, home=home, options=["--workers", "2"], WINDLASS_AUTH="required")
    assert statuses(server, secret) == {200}
    late = keys.create("late", Role.PREDICT)
    wait_until(lambda: statuses(server, late) == {200}, "let in by every worker")
    keys.revoke("late")
    wait_until(lambda: statuses(server, late) <= {401, 429}, "shut out by every worker")
    assert statuses(server, secret) == {200}
    keys.close()
    assert server.stop() == 0
    refused = [line for line in server.lines() if line["event"] == "auth failed"]
    assert {line["address"] for line in refused} == {"127.0.0.1"}
    assert late not in server.log.read_text()


def test_workers_share_a_rate(serve: Serve, iris: Path, tmp_path: Path) -> None:
    keys = keys_of(tmp_path / "home")
    secret = keys.create("ci", Role.PREDICT, RATE)
    keys.close()
    server = serve(
        iris, home=tmp_path / "home", options=["--workers", "2"], WINDLASS_AUTH="required"
    )
    folder = tmp_path / "home" / "run" / str(server.process.pid) / "rates"
    wait_until(lambda: len(list(folder.glob("*.cells"))) == 2, "two workers")
    started = time.monotonic()
    responses = [ask(server, secret)]
    while responses[-1].status == 200:
        time.sleep(0.02)
        responses.append(ask(server, secret))
    assert responses[-1].status == 429
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 120
    # of the others' use a worker misses what they let in within a tenth of a second: here, some five requests.
    # A minute that ends meanwhile lets in more, as what the last one held counts less with every second.
    assert RATE <= len(responses) - 1 <= RATE + 12 + (time.monotonic() - started) * RATE / 60
    assert server.stop() == 0


def test_a_container_with_keys_of_the_environment_needs_no_database(
    serve: Serve, iris: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SPY % str(tmp_path / "imports"))
    server = serve(
        iris, WINDLASS_AUTH="required", WINDLASS_API_KEYS=f"me:predict:{CONFIGURED}:1000", PYTHONPATH=_path(tmp_path)
    )  # fmt: skip
    assert ask(server, CONFIGURED).status == 200
    assert ask(server, "wrong").status == 401
    document = server.client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert {"401", "403", "429"} <= document["paths"]["/predict"]["post"]["responses"].keys()
    assert server.stop() == 0
    assert not (server.home / "windlass.db").exists()
    imported = set((tmp_path / "imports").read_text().split())
    assert "onnxruntime" in imported
    assert "sqlalchemy" not in imported
    assert CONFIGURED not in server.log.read_text()


@pytest.fixture(scope="module")
def server(session_server: Serve, iris: Path) -> Server:
    """Iris, for one key of the environment."""
    keys = f"me:predict:{CONFIGURED}"
    return session_server(iris, WINDLASS_AUTH="required", WINDLASS_API_KEYS=keys)


def test_every_route_but_the_open_ones_needs_a_key(server: Server) -> None:
    document, opened = server.client.get("/openapi.json").json(), set()
    for path, operations in document["paths"].items():
        for method in operations:
            url = (
                path.replace("{model}", "iris")
                .replace("{asset}", "start.js")
                .replace("{version}", "v1")
            )
            for spelling in (url, url + "/", url.replace("i", "%69", 1)):
                if server.client.request(method, spelling).status_code != 401:
                    opened.add(path)
    assert opened <= {
        "/health", "/livez", "/readyz", "/ping", "/version", "/docs", "/docs/{asset}", "/openapi.json",
        "/v1/models/{model}", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{model}/ready",
        "/v2/models/{model}/versions/{version}/ready",
    }  # fmt: skip


def test_a_database_that_is_away_at_the_start(
    serve: Serve, tmp_path: Path, migrated_postgres_url: str
) -> None:  # fmt: skip
    keys = keys_of(tmp_path, migrated_postgres_url)
    secret = keys.create("ci", Role.PREDICT)
    keys.close()
    with away(migrated_postgres_url):
        server = serve(
            Path("iris"), ready=False, options=["--no-worker"], WINDLASS_DATABASE_URL=migrated_postgres_url,
            WINDLASS_AUTH="required", WINDLASS_API_KEYS=f"me:predict:{CONFIGURED}",
        )  # fmt: skip
        server.wait("/livez")
        responses = ask(server, secret)
        assert (responses.status, responses.json()["detail"]) == (
            503,
            "The keys cannot be read yet.",
        )
        assert "keys" not in ask(server, CONFIGURED).json()["detail"]  # let in: there is no version
        assert server.raw(post("/predict", ROW)).status == 401
    wait_until(lambda: "keys" not in ask(server, secret).json()["detail"], "keys are read")


def test_a_database_that_goes_away(
    serve: Serve, iris: Path, tmp_path: Path, migrated_postgres_url: str
) -> None:  # fmt: skip
    keys = keys_of(tmp_path, migrated_postgres_url)
    secret = keys.create("ci", Role.PREDICT)
    keys.close()
    server = serve(
        iris, WINDLASS_AUTH="required", WINDLASS_API_KEYS=f"me:predict:{CONFIGURED}",
        WINDLASS_DATABASE_URL=migrated_postgres_url,
    )  # fmt: skip
    with away(migrated_postgres_url):
        wait_until(lambda: "keys cannot be read" in _events(server), "told")
        assert [ask(server, key).status for key in (secret, CONFIGURED, "wrong")] == [200, 200, 401]
    wait_until(lambda: "keys are read again" in _events(server), "told")
    assert _events(server).count("keys cannot be read") == 1
    assert ask(server, secret).status == 200


def test_what_no_proper_client_would_send(server: Server) -> None:
    assert ask(server, CONFIGURED, "X-API-Key: other").status == 401
    assert ask(server, CONFIGURED, f"Authorization: Bearer {CONFIGURED}").status == 200
    assert ask(server, "ключ".encode().decode("latin-1")).status == 401
    assert ask(server, "a" * 60_000).status in (401, 429)
    with server.connect() as connection:
        try:
            connection.sendall(post("/predict", ROW, f"X-API-Key: {'a' * (1 << 20)}"))
            assert connection.answer().status == 400
        except ConnectionError:
            pass  # it hung up before all was sent
    trailer = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-API-Key\r\n\r\n%x\r\n%b\r\n0\r\nX-API-Key: %b\r\n\r\n"
    )
    assert server.raw(trailer % (len(ROW), ROW, CONFIGURED.encode())).status == 401
    with server.connect() as connection:  # refused unread: nobody says 100 Continue
        connection.sendall(post("/predict", ROW, "Expect: 100-continue")[: -len(ROW)])
        assert connection.answer().status == 401
    assert ask(server, CONFIGURED).status == 200
    assert [line for line in server.lines() if line["level"] in ("error", "critical")] == []


def _path(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def _events(server: Server) -> list[str]:
    return [line["event"] for line in server.lines() if line["logger"] == "windlass.auth"]


@contextmanager
def away(url: str) -> Iterator[None]:
    """Nobody finds this database, and who was connected is not."""
    name = make_url(url).database
    engine = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )  # fmt: skip
        yield
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()
