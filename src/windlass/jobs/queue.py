"""Queue of jobs in the database: any process submits, reads and cancels jobs; workers run them.

One job of a project runs at a time. The other jobs of that project wait, the oldest first.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from windlass.errors import JobError, UnknownError, counted
from windlass.jobs.job import Job, JobState, with_worker_state
from windlass.jobs.workers import WorkerRecord, WorkersById, database_time, living_workers
from windlass.storage.database import Database
from windlass.storage.db_tables import jobs

MAX_ATTEMPTS = 3  # after so many dead workers the job itself is taken for the cause
_ADVISORY_LOCK = 7309948  # PostgreSQL's, held while a job changes its state

_COLUMNS = [column for column in jobs.c if column.name != "idempotency_key"]

Jobs = list[Job]
WorkerList = list[WorkerRecord]


class JobNotOwnedError(JobError):
    """A write to a job is refused: another worker owns the job now, or the job has ended."""


class ProjectBusyError(JobError):
    """A job cannot begin now: another one of its project runs."""


class JobLimitError(JobError):
    """Too many jobs of a project, or of one requester, are queued or running."""


@dataclass(frozen=True)
class JobLimits:
    """How many jobs may be queued or running at once."""

    of_project: int = 200
    of_requester: int = 100  # in one project


@dataclass(frozen=True)
class JobRequest:
    """A request for a job; where `worker` is set, only that worker may run it as long as it is alive."""

    project: str
    kind: str
    request: dict[str, Any]
    asked_by: str
    idempotency_key: str | None = None
    worker: str | None = None


_LIMITS = JobLimits()


class JobQueue:
    """Queue of jobs in the database.

    Safe to share between threads; every change is one transaction.
    """

    def __init__(self, database: Database, limits: JobLimits = _LIMITS) -> None:
        self._database = database
        self._limits = limits

    def submit(self, job_request: JobRequest) -> Job:
        """Adds a job to the queue.

        An idempotency key that the project has used returns the job of that key.

        Raises JobError where that job had another request, or the key is empty or too long; JobLimitError.
        """
        key = job_request.idempotency_key
        if key is not None and not 1 <= len(key) <= 255:
            raise JobError("An idempotency key has 1 to 255 characters. Send another one.")
        with state_change(self._database) as connection:
            if key is not None:
                same = (jobs.c.project == job_request.project) & (jobs.c.idempotency_key == key)
                row = connection.execute(select(*_COLUMNS).where(same)).one_or_none()
                if row is not None:
                    return _same_request(_job_from_row(row), job_request)
            self._check_limits(connection, job_request)
            values = {
                "id": secrets.token_hex(8),
                "project": job_request.project,
                "kind": job_request.kind,
                "request": job_request.request,
                "idempotency_key": key,
                "asked_by": job_request.asked_by,
                "state": JobState.QUEUED.value,
                "message": "Waiting for a worker",
                "worker": job_request.worker,
                "created_at": database_time(self._database),
            }
            connection.execute(insert(jobs).values(**values))
            return _read_job(connection, str(values["id"]))

    def get(self, job_id: str) -> Job:
        """Returns a job as it is now. Raises UnknownError."""
        with self._database.reading() as connection:
            return _read_job(connection, job_id)

    def cancel(self, job_id: str) -> Job:
        """Ends a queued job, or requests that the worker of a running one ends it.

        Raises UnknownError, JobError where it has ended.
        """
        with state_change(self._database) as connection:
            job = _read_job(connection, job_id)
            if job.state.is_final:
                raise JobError(
                    f"Job {job.id} has {_state_phrase(job)}: there is nothing left to cancel."
                )
            return self._cancel(connection, job, living_workers(self._database, connection))

    def cancel_all(self, project: str, state: JobState | None = None) -> Jobs:
        """Cancels the open jobs of a project, or those in one state, as `cancel` does; returns them."""
        with state_change(self._database) as connection:
            selected = [
                job
                for job in read_open_jobs(connection)
                if job.project == project and state in (None, job.state)
            ]
            living = living_workers(self._database, connection)
            return [self._cancel(connection, job, living) for job in selected]

    def begin(self, job_id: str, worker: str) -> Job | None:
        """Starts a job in the name of this worker; None where the job has ended.

        A job that was cancelled, or during which MAX_ATTEMPTS workers died, ends here. Raises ProjectBusyError
        while another job of the project runs, or this one at another worker that is alive.
        """
        with state_change(self._database) as connection:
            job = _find_job(connection, job_id)
            if job is None or job.state.is_final:
                return None
            running = self._running(connection, job.project)
            living = living_workers(self._database, connection)
            if running is not None and running.worker not in living:
                self.recover(connection, running)
                job, running = _read_job(connection, job_id), None
            if running is not None and (running.id, running.worker) != (job.id, worker):
                raise ProjectBusyError(f"Job {running.id} of project {job.project} is running.")
            if not job.state.is_final and (job.cancelling or job.attempts >= MAX_ATTEMPTS):
                self.recover(connection, job)
                job = _read_job(connection, job_id)
            if job.state.is_final:
                return None
            return self._start(connection, job, worker)

    def report(self, job_id: str, worker: str, progress: float, message: str) -> None:
        """Stores the progress of a job, 0..1. Raises JobNotOwnedError where another worker has the job."""
        with self._database.writing() as connection:
            mine = update(jobs).where(*_owned_by(job_id, worker))
            done = connection.execute(mine.values(progress=progress, message=message))
            _check_owned(done.rowcount, job_id)

    def finish(
        self,
        job_id: str,
        worker: str,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> Job:
        """Ends a job: succeeded with a result, failed with an error, cancelled with neither.

        Raises JobNotOwnedError where another worker has the job.
        """
        state = JobState.CANCELLED if result is None else JobState.SUCCEEDED
        if error is not None:
            state = JobState.FAILED
        with state_change(self._database) as connection:
            job = self._own(connection, job_id, worker)
            self._end(connection, job, state, result=result, error=error)
            return _read_job(connection, job_id)

    def release(self, job_id: str, worker: str) -> Job:
        """Puts a running job back in the queue because its worker stops.

        This does not count as an attempt.

        Raises JobNotOwnedError where another worker has the job.
        """
        with state_change(self._database) as connection:
            job = self._own(connection, job_id, worker)
            if job.cancelling:
                self._end(connection, job, JobState.CANCELLED)
            else:
                message = "Waiting for a worker, as the last one was stopped"
                self._requeue(connection, job, message, attempts=job.attempts - 1)
            return _read_job(connection, job_id)

    def _cancel(self, connection: Connection, job: Job, living: WorkersById) -> Job:
        if job.state is JobState.RUNNING and job.worker in living:
            self._set(connection, job, cancelling=True)
        else:
            self._end(connection, job, JobState.CANCELLED)
        return _read_job(connection, job.id)

    def _check_limits(self, connection: Connection, job_request: JobRequest) -> None:
        """Raises JobLimitError where one more job would be too many."""
        project, limits = job_request.project, self._limits
        is_open = jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
        query = select(jobs.c.asked_by, func.count()).where(jobs.c.project == project, is_open)
        rows = connection.execute(query.group_by(jobs.c.asked_by))
        counts = {requester: int(count) for requester, count in rows}
        who = job_request.asked_by
        for count, limit, of in (
            (sum(counts.values()), limits.of_project, f"project {project}"),
            (counts.get(who, 0), limits.of_requester, f"{who} in project {project}"),
        ):
            if count >= limit:
                raise JobLimitError(
                    f"{counted(count, 'job')} of {of} are queued or running, and {limit} may be."
                    f" Wait until some have ended, or cancel them: DELETE /{project}/jobs."
                )

    def workers(self) -> WorkerList:
        """Returns the workers that are alive."""
        with self._database.reading() as connection:
            return list(living_workers(self._database, connection).values())

    def with_worker_state(self, found_jobs: Jobs) -> Jobs:
        """Returns the jobs; those whose worker ended, or for which there is none, with a message that says so."""
        if all(job.state.is_final for job in found_jobs):
            return found_jobs
        living = {worker.id for worker in self.workers()}
        return [with_worker_state(job, living) for job in found_jobs]

    def running(self, project: str) -> Job | None:
        """Returns the running job of this project, if there is one."""
        with self._database.reading() as connection:
            return self._running(connection, project)

    def _running(self, connection: Connection, project: str) -> Job | None:
        condition = (jobs.c.project == project) & (jobs.c.state == JobState.RUNNING.value)
        row = connection.execute(select(*_COLUMNS).where(condition)).one_or_none()
        return None if row is None else _job_from_row(row)

    def recover(self, connection: Connection, job: Job) -> None:
        """Requeues a job whose worker died; ends it where it was cancelled, or after MAX_ATTEMPTS."""
        if job.cancelling:
            self._end(connection, job, JobState.CANCELLED)
        elif job.attempts >= MAX_ATTEMPTS:
            self._end(connection, job, JobState.FAILED, error=_worker_died_error(job))
        else:
            self._requeue(connection, job, "Waiting for a worker, as the last one died")

    def fail(self, connection: Connection, job: Job) -> None:
        """Ends a job whose outcome was lost."""
        error = "Unexpected: the work ended without an outcome. This is a fault of Windlass; please report it."
        self._end(connection, job, JobState.FAILED, error=error)

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
            started_at=database_time(self._database) if job.started_at is None else job.started_at,
        )
        return _read_job(connection, job.id)

    def _own(self, connection: Connection, job_id: str, worker: str) -> Job:
        row = connection.execute(select(*_COLUMNS).where(*_owned_by(job_id, worker))).one_or_none()
        _check_owned(int(row is not None), job_id)
        assert row is not None
        return _job_from_row(row)

    def _end(self, connection: Connection, job: Job, state: JobState, **facts: Any) -> None:
        message = {
            JobState.SUCCEEDED: "Done",
            JobState.FAILED: "Failed",
            JobState.CANCELLED: "Cancelled",
        }
        if state is JobState.SUCCEEDED:
            facts["progress"] = 1.0
        given = {name: value for name, value in facts.items() if value is not None}
        now = database_time(self._database)
        self._set(
            connection, job, state=state.value, message=message[state], finished_at=now, **given
        )

    def _set(self, connection: Connection, job: Job, **values: Any) -> None:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))

    def list(self, project: str | None = None, limit: int = 100) -> Jobs:
        """Returns the newest jobs, of one project or of all, the newest first."""
        query = select(*_COLUMNS).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        if project is not None:
            query = query.where(jobs.c.project == project)
        with self._database.reading() as connection:
            return [_job_from_row(row) for row in connection.execute(query)]


_OLDEST_FIRST = (jobs.c.created_at, jobs.c.id)


@contextmanager
def state_change(database: Database) -> Iterator[Connection]:
    """Opens a transaction that may change the state of jobs; only one runs at a time in a database."""
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        yield connection


def _owned_by(job_id: str, worker: str) -> tuple[Any, ...]:
    return jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == JobState.RUNNING.value


def _job_from_row(row: Row[Any]) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return Job(**values | {"state": JobState(values["state"])})


def read_open_jobs(connection: Connection) -> Jobs:
    """Returns the jobs that are queued or running, the oldest first, as this transaction sees them."""
    is_open = jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
    rows = connection.execute(select(*_COLUMNS).where(is_open).order_by(*_OLDEST_FIRST))
    return [_job_from_row(row) for row in rows]


def _find_job(connection: Connection, job_id: str) -> Job | None:
    row = connection.execute(select(*_COLUMNS).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job_from_row(row)


def _read_job(connection: Connection, job_id: str) -> Job:
    job = _find_job(connection, job_id)
    if job is None:
        raise UnknownError("There is no such job. GET /jobs lists the jobs.")
    return job


def _same_request(job: Job, job_request: JobRequest) -> Job:
    if (job.kind, job.request) != (job_request.kind, job_request.request):
        raise JobError(
            f"The idempotency key was used for job {job.id}, which had another request."
            " Send a new key with a new request."
        )
    return job


def _check_owned(count: int, job_id: str) -> None:
    if not count:
        raise JobNotOwnedError(
            f"Job {job_id} is not this worker's any more: another one carries it out."
        )


def _state_phrase(job: Job) -> str:
    return {JobState.CANCELLED: "been cancelled"}.get(job.state, job.state.value)


def _worker_died_error(job: Job) -> str:
    return (
        f"The worker died {job.attempts} times while it carried out this job, so it is not tried again."
        " Look for the reason in the worker's log, such as too little memory, then submit it again."
    )
