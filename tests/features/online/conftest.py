"""Every store, for tests that hold of each."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.databases import postgres_database
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import OpenStore
from tests.support.services import redis_url

from windlass.core.feature_view import ViewRecord
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

__all__ = ["redis_url"]  # a fixture

_URLS = {"redis": "redis_url", "postgres": "empty_postgres_url"}


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty online store."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    return Settings(home=tmp_path, online_url=request.getfixturevalue(_URLS[request.param]))


@pytest.fixture(scope="session")
def shared_postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL database that the online stores of all tests take turns in."""
    with postgres_database() as url:
        yield url


@pytest.fixture
def empty_postgres_url(shared_postgres_url: str) -> str:
    """The same, without the tables of the test before: a new database for each would take a second."""
    with psycopg.connect(shared_postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(
            "DROP TABLE IF EXISTS windlass_online, windlass_online_text, windlass_online_notes"
        )
    return shared_postgres_url


@pytest.fixture
def open_store(settings: Settings) -> Iterator[OpenStore]:
    """Opens the store, as often as it is asked: `open_store(project)`."""
    opened: list[OnlineStore] = []

    def open_it(project: str = "credit", record: ViewRecord = PROJECT_VIEW) -> OnlineStore:
        opened.append(online_store(settings, record, project))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> OnlineStore:
    """The store itself."""
    return open_store()
