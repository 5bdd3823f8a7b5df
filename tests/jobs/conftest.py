"""The queue of jobs over each database."""

from collections.abc import Iterator

import pytest

from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    """An empty database with its tables."""
    opened = Database.open_url(migrated_database_url)
    yield opened
    opened.close()


@pytest.fixture
def queue(database: Database) -> JobQueue:
    """The queue of jobs."""
    return JobQueue(database)


@pytest.fixture
def workers(database: Database) -> WorkerTable:
    """The table of workers; those that register are this process."""
    return WorkerTable(database)
