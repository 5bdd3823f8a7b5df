"""Retention of ended jobs: idempotency keys are kept for a day, jobs for 90 days."""

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from windlass.jobs.job import JobState
from windlass.jobs.queue import state_change
from windlass.jobs.workers import database_time
from windlass.storage.database import Database
from windlass.storage.db_tables import jobs

KEY_SECONDS = 24 * 3600.0  # after the end of its job
JOB_SECONDS = 90 * 24 * 3600.0  # after its end
BATCH_SIZE = 500  # jobs in one transaction: a short one, since it blocks submitting

_FINAL = [state.value for state in JobState if state.is_final]


class Retention:
    """Removes expired keys and jobs.

    Any number of workers may do so at once; open jobs are never touched.

    Every method raises StorageError where the database cannot be reached.
    """

    def __init__(self, database: Database, batch_size: int = BATCH_SIZE) -> None:
        self._database = database
        self._batch_size = batch_size

    def expire_keys(self) -> int:
        """Removes the idempotency keys of jobs that ended long enough ago; returns their number."""
        with state_change(self._database) as connection:
            old = and_(jobs.c.idempotency_key.is_not(None), self._ended(connection, KEY_SECONDS))
            return connection.execute(update(jobs).where(old).values(idempotency_key=None)).rowcount

    def expired_jobs(self) -> list[str]:
        """Returns the ids of expired jobs: the oldest first, one batch at most."""
        with self._database.reading() as connection:
            old = select(jobs.c.id).where(self._ended(connection, JOB_SECONDS))
            return list(
                connection.scalars(old.order_by(jobs.c.finished_at).limit(self._batch_size))
            )

    def remove(self, ids: list[str]) -> int:
        """Removes those of these jobs that have expired; returns their number."""
        with state_change(self._database) as connection:
            old = and_(jobs.c.id.in_(ids), self._ended(connection, JOB_SECONDS))
            return connection.execute(delete(jobs).where(old)).rowcount

    def _ended(self, connection: Connection, seconds: float) -> ColumnElement[bool]:
        """Returns the condition for jobs that ended so long ago, by the clock of the database."""
        now = connection.execute(select(database_time(self._database))).scalar_one()
        return and_(jobs.c.state.in_(_FINAL), jobs.c.finished_at < now - seconds)
