"""How long the desk keeps what has ended: idempotency keys a day, jobs 90 days."""

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from windlass.jobs.job import JobState
from windlass.jobs.queue import moving
from windlass.jobs.workers import clock
from windlass.storage.database import Database
from windlass.storage.db_tables import jobs

KEY_SECONDS = 24 * 3600.0  # after a job's end, for which its idempotency key means that job
JOB_SECONDS = 90 * 24 * 3600.0  # after a job's end, for which it is kept
AT_ONCE = 500  # jobs in one transaction, so that nobody who asks for one waits for long

_FINAL = [state.value for state in JobState if state.is_final]


class Retention:
    """Removes what is kept no longer. Any number of workers may do so at once; open jobs are never touched.

    Every method raises StorageError where the database cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget_keys(self) -> int:
        """Free the idempotency keys of jobs that ended long enough ago; how many there were."""
        with moving(self._database) as connection:
            old = and_(jobs.c.idempotency_key.is_not(None), self._ended(connection, KEY_SECONDS))
            return connection.execute(update(jobs).where(old).values(idempotency_key=None)).rowcount

    def outlived(self) -> list[str]:
        """The jobs that are kept no longer, by id: the oldest, AT_ONCE at most."""
        with self._database.reading() as connection:
            old = select(jobs.c.id).where(self._ended(connection, JOB_SECONDS))
            return list(connection.scalars(old.order_by(jobs.c.finished_at).limit(AT_ONCE)))

    def remove(self, ids: list[str]) -> int:
        """Remove these jobs, as far as they are kept no longer; how many that were."""
        with moving(self._database) as connection:
            old = and_(jobs.c.id.in_(ids), self._ended(connection, JOB_SECONDS))
            return connection.execute(delete(jobs).where(old)).rowcount

    def _ended(self, connection: Connection, seconds: float) -> ColumnElement[bool]:
        """Of jobs that ended so long ago, by the database's clock."""
        now = connection.execute(select(clock(self._database))).scalar_one()
        return and_(jobs.c.state.in_(_FINAL), jobs.c.finished_at < now - seconds)
