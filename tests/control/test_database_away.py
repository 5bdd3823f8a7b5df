"""Control while its database is away: refused at once with Retry-After, and well as soon as it is back."""

from collections.abc import Iterator

import pytest
from tests.support.control import REASON, Control, open_events, open_registry, submit_training
from tests.support.server import Server
from tests.support.tcp_proxy import TcpProxy
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import is_quick, wait_until

from windlass.jobs.queue import JobQueue
from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture
def registry(
    migrated_postgres_url: str, bundle_of: BundleOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    home = tmp_path_factory.mktemp("home")
    registry = open_registry(Settings(home=home, database_url=migrated_postgres_url), bundle_of)
    yield registry
    registry.close()


def is_away(server: Server, path: str = "/versions") -> bool:
    answer = server.client.get(path)
    if answer.status_code != 503:
        return False
    assert int(answer.headers["retry-after"]) >= 1
    assert "127.0.0.1" not in answer.text
    return True


def is_well(server: Server) -> bool:
    return server.client.get("/decisions").status_code == 200


def answers_meanwhile(server: Server) -> None:
    """What needs no database is answered while a question to it is under way."""
    with server.connect() as connection:
        connection.sendall(b"GET /versions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert server.client.get("/readyz").status_code == 200


def test_a_database_that_comes_late_is_used_at_once(
    control: Control, wire: TcpProxy, wired_url: str, registry: Registry
) -> None:
    wire.cut()
    server = control("iris", WINDLASS_DATABASE_URL=wired_url)
    for path in ("/versions", "/jobs", "/jobs/1/events", "/decisions"):
        assert is_away(server, path)
    assert server.client.post("/train", json={}).status_code == 503
    assert server.client.post("/rollback", json=REASON).status_code == 503
    document = server.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["iris.Training"] == {"type": "object"}
    wire.mend()
    wait_until(lambda: is_well(server), "an answer from the database")
    document = server.client.get("/openapi.json").json()
    assert len(document["components"]["schemas"]["iris.Training"]["oneOf"]) == 2


@pytest.mark.parametrize("outage", ["cut", "mute"])
def test_requests_fail_at_once_while_the_database_is_away(
    control: Control, wire: TcpProxy, wired_url: str, registry: Registry, outage: str
) -> None:
    server = control("iris", WINDLASS_DATABASE_URL=wired_url, TIMEOUT="4")
    wait_until(lambda: is_well(server), "an answer from the database")
    name = submit_training(server)
    with open_events(server, name) as events:
        events.next()
        events.next()
        getattr(wire, outage)()
        wait_until(lambda: is_away(server), "an error")
        assert is_quick(lambda: answers_meanwhile(server), 1)
        wire.mend()
        wait_until(lambda: is_well(server), "an answer from the database")
        JobQueue(registry.database).cancel(name)
        assert [event.name for event in events.rest()] == ["done"]


def test_a_silent_database_holds_up_no_stop(
    control: Control, wire: TcpProxy, wired_url: str, registry: Registry
) -> None:
    server = control("iris", WINDLASS_DATABASE_URL=wired_url, TIMEOUT="4")
    wait_until(lambda: is_well(server), "an answer from the database")
    wire.mute()
    answers_meanwhile(server)
    server.stop()
