"""The queue of jobs over each database."""

import pytest

from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database


@pytest.fixture
def queue(database: Database) -> JobQueue:
    """The queue of jobs."""
    return JobQueue(database)


@pytest.fixture
def workers(database: Database) -> WorkerTable:
    """The table of workers; those that register are this process."""
    return WorkerTable(database)
