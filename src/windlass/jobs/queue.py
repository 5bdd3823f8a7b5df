"""The desk: where any process asks for a job, watches it and cancels it, and where workers find what to do.

One job a project runs at a time, the others of that project wait in the queue, oldest first.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text, update

from windlass.errors import JobError, UnknownError
from windlass.jobs.job import Job, JobState
from windlass.jobs.workers import Alive, WorkerRecord, alive, clock
from windlass.storage.database import Database
from windlass.storage.db_tables import jobs

MAX_ATTEMPTS = 3  # that may kill their worker before the job is held for the cause
_LOCK = 7309948  # of PostgreSQL, for whoever moves a job from one state to another

_SHOWN = [column for column in jobs.c if column.name != "idempotency_key"]

Jobs = list[Job]
WorkerList = list[WorkerRecord]
Able = Callable[[Job], bool]


class LostError(JobError):
    """A worker's job is no longer its own: another took it over, or it has ended."""


@dataclass(frozen=True)
class JobRequest:
    """What is asked of the desk. `worker` alone may carry it out, while it is alive."""

    project: str
    kind: str
    request: dict[str, Any]
    asked_by: str
    idempotency_key: str | None = None
    worker: str | None = None


class JobQueue:
    """The table of jobs. Safe to share between threads; every change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, order: JobRequest) -> Job:
        """Put a job in the queue. An idempotency key that the project has seen returns the job it made.

        Raises JobError where that job was asked for otherwise, or the key is empty or too long.
        """
        key = order.idempotency_key
        if key is not None and not 1 <= len(key) <= 255:
            raise JobError("An idempotency key has 1 to 255 characters. Send another one.")
        with moving(self._database) as connection:
            if key is not None:
                same = (jobs.c.project == order.project) & (jobs.c.idempotency_key == key)
                found = connection.execute(select(*_SHOWN).where(same)).one_or_none()
                if found is not None:
                    return _same(_job(found), order)
            made = {
                "id": secrets.token_hex(8),
                "project": order.project,
                "kind": order.kind,
                "request": order.request,
                "idempotency_key": key,
                "asked_by": order.asked_by,
                "state": JobState.QUEUED.value,
                "message": "Waiting for a worker",
                "worker": order.worker,
                "created_at": clock(self._database),
            }
            connection.execute(insert(jobs).values(**made))
            return _read(connection, str(made["id"]))

    def get(self, job_id: str) -> Job:
        """A job as it is now. Raises UnknownError."""
        with self._database.reading() as connection:
            return _read(connection, job_id)

    def cancel(self, job_id: str) -> Job:
        """End a queued job; ask the worker of a running one to give it up.

        Raises UnknownError, JobError where it has ended.
        """
        with moving(self._database) as connection:
            job = _read(connection, job_id)
            if job.state.is_final:
                raise JobError(f"Job {job.id} has {_ended(job)}: there is nothing left to cancel.")
            if job.state is JobState.RUNNING and job.worker in alive(self._database, connection):
                self._set(connection, job, cancelling=True)
            else:
                self._end(connection, job, JobState.CANCELLED)
            return _read(connection, job_id)

    def claim(self, worker: str, able: Able | None = None, job_id: str | None = None) -> Job | None:
        """The oldest job that this worker may begin, now running in its name; None where there is none.

        Jobs whose worker died go back to the queue first; one that killed MAX_ATTEMPTS workers fails.
        `able` says whether this worker can carry a job out; `job_id` asks for that job only.
        """
        wanted = _Wanted(worker, able, job_id)
        with self._database.reading() as connection:
            if self._next(connection, wanted) is None:
                return None  # most of the time: no need to hold up anybody who writes
        with moving(self._database) as connection:
            while (job := self._next(connection, wanted)) is not None:
                if job.state is JobState.QUEUED:
                    return self._start(connection, job, worker)
                self._retire(connection, job)
        return None

    def report(self, job_id: str, worker: str, progress: float, message: str) -> None:
        """Say how far a job has come, 0..1. Raises LostError where it is not this worker's any more."""
        with self._database.writing() as connection:
            mine = update(jobs).where(*_mine(job_id, worker))
            done = connection.execute(mine.values(progress=progress, message=message))
            _refuse_lost(done.rowcount, job_id)

    def finish(
        self,
        job_id: str,
        worker: str,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> Job:
        """End a job: succeeded with a result, failed with an error, cancelled with neither.

        Raises LostError where it is not this worker's any more.
        """
        state = JobState.CANCELLED if result is None else JobState.SUCCEEDED
        if error is not None:
            state = JobState.FAILED
        with moving(self._database) as connection:
            job = self._own(connection, job_id, worker)
            self._end(connection, job, state, result=result, error=error)
            return _read(connection, job_id)

    def release(self, job_id: str, worker: str) -> Job:
        """Put a running job back in the queue for the next worker: this one stops, and the job is not to blame.

        Raises LostError where it is not this worker's any more.
        """
        with moving(self._database) as connection:
            job = self._own(connection, job_id, worker)
            if job.cancelling:
                self._end(connection, job, JobState.CANCELLED)
            else:
                message = "Waiting for a worker, as the last one was stopped"
                self._requeue(connection, job, message, attempts=job.attempts - 1)
            return _read(connection, job_id)

    def workers(self) -> WorkerList:
        """The workers that are alive."""
        with self._database.reading() as connection:
            return list(alive(self._database, connection).values())

    def running(self, project: str) -> Job | None:
        """The job of this project that runs now."""
        with self._database.reading() as connection:
            now = (jobs.c.project == project) & (jobs.c.state == JobState.RUNNING.value)
            found = connection.execute(select(*_SHOWN).where(now)).one_or_none()
            return None if found is None else _job(found)

    def _next(self, connection: Connection, wanted: "_Wanted") -> Job | None:
        """A running job whose worker died, else the oldest in the queue that is wanted and may begin."""
        is_open = jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
        rows = connection.execute(select(*_SHOWN).where(is_open).order_by(*_OLDEST))
        found = [_job(row) for row in rows]
        if not found:
            return None
        crew = alive(self._database, connection)
        running = [job for job in found if job.state is JobState.RUNNING]
        left = [job for job in running if job.worker not in crew]
        busy = {job.project for job in running}
        free = (job for job in found if job.project not in busy and wanted.takes(job, crew))
        return next(iter(left), None) or next(free, None)

    def _retire(self, connection: Connection, job: Job) -> None:
        """Have a job whose worker died wait for another, unless it was to end or is to blame."""
        if job.cancelling:
            self._end(connection, job, JobState.CANCELLED)
        elif job.attempts >= MAX_ATTEMPTS:
            self._end(connection, job, JobState.FAILED, error=_deadly(job))
        else:
            self._requeue(connection, job, "Waiting for a worker, as the last one died")

    def _requeue(self, connection: Connection, job: Job, message: str, **values: Any) -> None:
        values |= {"state": JobState.QUEUED.value, "worker": None, "message": message}
        self._set(connection, job, **values)

    def _start(self, connection: Connection, job: Job, worker: str) -> Job:
        self._set(
            connection,
            job,
            state=JobState.RUNNING.value,
            worker=worker,
            attempts=job.attempts + 1,
            progress=0.0,
            message="Starting",
            started_at=clock(self._database) if job.started_at is None else job.started_at,
        )
        return _read(connection, job.id)

    def _own(self, connection: Connection, job_id: str, worker: str) -> Job:
        found = connection.execute(select(*_SHOWN).where(*_mine(job_id, worker))).one_or_none()
        _refuse_lost(int(found is not None), job_id)
        assert found is not None
        return _job(found)

    def _end(self, connection: Connection, job: Job, state: JobState, **facts: Any) -> None:
        message = {
            JobState.SUCCEEDED: "Done",
            JobState.FAILED: "Failed",
            JobState.CANCELLED: "Cancelled",
        }
        if state is JobState.SUCCEEDED:
            facts["progress"] = 1.0
        given = {name: value for name, value in facts.items() if value is not None}
        now = clock(self._database)
        self._set(
            connection, job, state=state.value, message=message[state], finished_at=now, **given
        )

    def _set(self, connection: Connection, job: Job, **values: Any) -> None:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))

    def list(self, project: str | None = None, limit: int = 100) -> Jobs:
        """The newest jobs, of one project or of all, newest first."""
        query = select(*_SHOWN).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        if project is not None:
            query = query.where(jobs.c.project == project)
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query)]


_OLDEST = (jobs.c.created_at, jobs.c.id)


@contextmanager
def moving(database: Database) -> Iterator[Connection]:
    """A transaction that may move jobs from state to state: one at a time, so that none sees half of another."""
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield connection


def _mine(job_id: str, worker: str) -> tuple[Any, ...]:
    return jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == JobState.RUNNING.value


@dataclass(frozen=True)
class _Wanted:
    """What a worker that comes to the desk would take."""

    worker: str
    able: Able | None
    job_id: str | None

    def takes(self, job: Job, crew: Alive) -> bool:
        """Whether a queued job is free to this worker, which can carry it out.

        Free are jobs that are pinned to none, to it, or to a worker that died.
        """
        if job.worker not in (None, self.worker) and job.worker in crew:
            return False
        return self.job_id in (None, job.id) and (self.able is None or self.able(job))


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return Job(**values | {"state": JobState(values["state"])})


def _read(connection: Connection, job_id: str) -> Job:
    found = connection.execute(select(*_SHOWN).where(jobs.c.id == job_id)).one_or_none()
    if found is None:
        raise UnknownError(
            "There is no such job. GET /jobs, or the answer that made it, names them."
        )
    return _job(found)


def _same(job: Job, order: JobRequest) -> Job:
    if (job.kind, job.request) != (order.kind, order.request):
        raise JobError(
            f"The idempotency key was used for job {job.id}, which asked for something else."
            " Send a new key with a new request."
        )
    return job


def _refuse_lost(count: int, job_id: str) -> None:
    if not count:
        raise LostError(f"Job {job_id} is not this worker's any more: another one carries it out.")


def _ended(job: Job) -> str:
    return {JobState.CANCELLED: "been cancelled"}.get(job.state, job.state.value)


def _deadly(job: Job) -> str:
    return (
        f"The worker died {job.attempts} times while it carried out this job, so it is not tried again."
        " Look for the reason in the worker's log, such as too little memory, then ask anew."
    )
