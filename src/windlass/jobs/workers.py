"""The workers that are there: each beats now and then; one that has stopped beating, or whose process is gone, is dead.

Times are the database's own, so that clocks of several machines need not agree.
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

BEAT_SECONDS = 1.0
DEAD_SECONDS = 5.0  # without a beat
_FORGOTTEN_SECONDS = 3600.0  # after which a dead worker's row goes

Alive = dict[str, "WorkerRecord"]


@dataclass(frozen=True)
class WorkerRecord:
    """A process that carries out jobs. `host` tells machines, and the process tables on them, apart."""

    id: str
    host: str
    pid: int
    started_at: float
    beat_at: float

    def is_alive(self, now: float) -> bool:
        """Whether it may still be at work, seen from this process."""
        if now - self.beat_at > DEAD_SECONDS:
            return False
        return self.host != host() or is_process_alive(self.pid)


class WorkerTable:
    """The table of workers. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def arrive(self) -> str:
        """Enter this process as a worker; returns the id it goes by. Forgets workers long dead."""
        worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        with self._database.writing() as connection:
            now = clock(self._database)
            old = select(now).scalar_subquery() - _FORGOTTEN_SECONDS
            connection.execute(delete(workers).where(workers.c.beat_at < old))
            self._enter(connection, worker)
        return worker

    def beat(self, worker: str) -> None:
        """Say that this process is still at work."""
        with self._database.writing() as connection:
            done = connection.execute(
                update(workers).where(workers.c.id == worker).values(beat_at=clock(self._database))
            )
            if not done.rowcount:  # forgotten meanwhile: the machine slept
                self._enter(connection, worker)

    def leave(self, worker: str) -> None:
        """Take a worker that ends off the table."""
        with self._database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker))

    def alive(self) -> Alive:
        """The workers that are alive, by id."""
        with self._database.reading() as connection:
            return alive(self._database, connection)

    def _enter(self, connection: Connection, worker: str) -> None:
        now = clock(self._database)
        connection.execute(
            insert(workers).values(
                id=worker, host=host(), pid=os.getpid(), started_at=now, beat_at=now
            )
        )


def alive(database: Database, connection: Connection) -> Alive:
    """The workers that are alive, by id, as this transaction sees them."""
    now = connection.execute(select(clock(database))).scalar_one()
    found = [WorkerRecord(**row._mapping) for row in connection.execute(select(workers))]  # noqa: SLF001 - SQLAlchemy's public name
    return {worker.id: worker for worker in found if worker.is_alive(now)}


def clock(database: Database) -> ColumnElement[float]:
    """Seconds since 1970 by the database's clock; SQLite's is this machine's."""
    if database.is_sqlite:
        return cast(time.time(), Float)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


def host() -> str:
    """This machine since it was started, and the process numbers that this process can see."""
    return " ".join([socket.gethostname()[:100], *_traits()])


def _traits() -> list[str]:
    if sys.platform != "linux":
        return []
    found: list[Any] = []
    try:
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        found.append(Path("/proc/self/ns/pid").readlink())
    except OSError:
        pass  # a hardened container hides them; the host's name has to do
    return list(map(str, found))
