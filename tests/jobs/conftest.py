"""The desk over each database."""

from collections.abc import Iterator

import pytest

from windlass.jobs.queue import Desk
from windlass.jobs.workers import Workers
from windlass.storage.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with its tables."""
    opened = Database.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def desk(database: Database) -> Desk:
    """The desk."""
    return Desk(database)


@pytest.fixture
def workers(database: Database) -> Workers:
    """The table of workers; those that arrive are this process."""
    return Workers(database)
