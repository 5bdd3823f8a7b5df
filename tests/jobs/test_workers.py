import os

import pytest
from sqlalchemy import update
from tests.support.child_process import ended_pid

from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import (
    DEAD_SECONDS,
    WorkersById,
    WorkerTable,
    host_identity,
    living_workers,
)
from windlass.storage.database import Database
from windlass.storage.db_tables import workers as table


def alive(database: Database) -> WorkersById:
    with database.reading() as connection:
        return living_workers(database, connection)


def changed(database: Database, worker: str, **values: object) -> None:
    with database.writing() as connection:
        connection.execute(update(table).where(table.c.id == worker).values(**values))


def test_a_worker_is_there_until_it_leaves(
    database: Database, workers: WorkerTable, queue: JobQueue
) -> None:
    me = workers.register()
    entry = alive(database)[me]
    assert (entry.pid, entry.host) == (os.getpid(), host_identity())
    assert queue.workers() == [entry]
    workers.unregister(me)
    assert queue.workers() == []


def test_a_worker_without_heartbeat_is_dead_until_the_next_one(
    database: Database, workers: WorkerTable
) -> None:
    me = workers.register()
    changed(database, me, beat_at=alive(database)[me].beat_at - DEAD_SECONDS - 1)
    assert alive(database) == {}
    workers.beat(me)
    assert set(alive(database)) == {me}


def test_a_heartbeat_from_the_future_does_not_count(
    database: Database, workers: WorkerTable
) -> None:
    me = workers.register()
    changed(database, me, beat_at=alive(database)[me].beat_at + DEAD_SECONDS + 60)
    assert alive(database) == {}
    workers.beat(me)
    assert set(alive(database)) == {me}


def test_a_worker_whose_process_is_gone_is_dead_at_once(
    database: Database, workers: WorkerTable
) -> None:
    me = workers.register()
    changed(database, me, pid=ended_pid())
    assert alive(database) == {}


@pytest.mark.parametrize("elsewhere", ["another machine", f"{host_identity()} pid:[1]"])
def test_processes_of_another_machine_are_alive_by_their_heartbeats_only(
    database: Database, workers: WorkerTable, elsewhere: str
) -> None:
    me = workers.register()
    changed(database, me, pid=ended_pid(), host=elsewhere)
    assert set(alive(database)) == {me}


def test_workers_long_dead_are_removed_and_come_back_with_a_heartbeat(
    database: Database, workers: WorkerTable
) -> None:
    old = workers.register()
    changed(database, old, beat_at=1.0)
    me = workers.register()
    with database.reading() as connection:
        assert [row.id for row in connection.execute(table.select())] == [me]
    workers.beat(old)
    assert set(alive(database)) == {me, old}
