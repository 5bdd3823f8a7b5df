"""Table of workers with heartbeats.

A worker without a recent heartbeat, or whose process has ended, is dead.

Times are those of the database, so that the clocks of several machines need not agree.
"""

import os
import secrets
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, cast, delete, func, insert, select, update

from windlass.core.atomic_files import is_process_alive
from windlass.storage.database import Database
from windlass.storage.db_tables import workers

HEARTBEAT_SECONDS = 1.0
DEAD_SECONDS = 5.0  # without a beat
_FORGET_SECONDS = 3600.0  # after which a dead worker's row goes

WorkersById = dict[str, "WorkerRecord"]


@dataclass(frozen=True)
class WorkerRecord:
    """A process that runs jobs. `host` identifies the machine and the process table (container) on it."""

    id: str
    host: str
    pid: int
    started_at: float
    beat_at: float

    def is_alive(self, now: float) -> bool:
        """Whether the worker may still be running, seen from this process.

        A heartbeat from the future was written before a clock was set back: it must not count until then.
        """
        if abs(now - self.beat_at) > DEAD_SECONDS:
            return False
        return self.host != host_identity() or is_process_alive(self.pid)


class WorkerTable:
    """Table of workers in the database; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self) -> str:
        """Adds this process as a worker and returns its id; removes workers that died long ago."""
        worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        with self._database.writing() as connection:
            now = database_time(self._database)
            old = select(now).scalar_subquery() - _FORGET_SECONDS
            connection.execute(delete(workers).where(workers.c.beat_at < old))
            self._enter(connection, worker)
        return worker

    def beat(self, worker: str) -> None:
        """Records a heartbeat of this worker."""
        with self._database.writing() as connection:
            done = connection.execute(
                update(workers)
                .where(workers.c.id == worker)
                .values(beat_at=database_time(self._database))
            )
            if not done.rowcount:  # the row was removed while the machine slept
                self._enter(connection, worker)

    def unregister(self, worker: str) -> None:
        """Removes a worker that ends."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker))

    def _enter(self, connection: Connection, worker: str) -> None:
        now = database_time(self._database)
        connection.execute(
            insert(workers).values(
                id=worker, host=host_identity(), pid=os.getpid(), started_at=now, beat_at=now
            )
        )


def living_workers(database: Database, connection: Connection) -> WorkersById:
    """Returns the workers that are alive, by id, as this transaction sees them."""
    now = connection.execute(select(database_time(database))).scalar_one()
    records = [WorkerRecord(**row._mapping) for row in connection.execute(select(workers))]  # noqa: SLF001 - SQLAlchemy's public name
    return {worker.id: worker for worker in records if worker.is_alive(now)}


def database_time(database: Database) -> ColumnElement[float]:
    """Returns an expression for seconds since 1970 by the clock of the database; for SQLite, of this machine."""
    if database.is_sqlite:
        return cast(time.time(), Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def host_identity() -> str:
    """Identifies this machine since its last start, and the process table that this process sees."""
    return " ".join([socket.gethostname()[:100], *_host_traits()])


def _host_traits() -> list[str]:
    if sys.platform != "linux":
        return []
    traits: list[Any] = []
    try:
        traits.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        traits.append(Path("/proc/self/ns/pid").readlink())
    except OSError:
        pass  # a hardened container hides them; the host's name has to do
    return list(map(str, traits))
