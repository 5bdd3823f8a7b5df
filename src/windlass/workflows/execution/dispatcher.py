"""Keeps the queues of DBOS in step with the jobs: new jobs are enqueued, those of dead workers resumed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, read_open_jobs, state_change
from windlass.jobs.workers import WorkersById, living_workers
from windlass.storage.database import Database
from windlass.workflows.execution.durable import DurableEngine, Workflow

CanRun = Callable[[Job], bool]


@dataclass(frozen=True)
class Snapshot:
    """Open jobs, living workers and what DBOS knows, all read within one transaction."""

    jobs: list[Job]
    living: WorkersById
    workflows: dict[str, Workflow]

    def is_running(self, project: str | None) -> bool:
        """Whether a job of this project runs."""
        return any(job.project == project and job.state is JobState.RUNNING for job in self.jobs)


class Dispatcher:
    """Dispatches jobs through DBOS.

    Any number of workers may do so at once.

    `foreground_job` is a job that this process runs itself: it moves to the queue of this worker.
    """

    def __init__(
        self,
        database: Database,
        engine: DurableEngine,
        worker: str,
        foreground_job: str | None = None,
    ) -> None:
        self._database = database
        self._queue = JobQueue(database)
        self._engine = engine
        self._worker = worker
        self._foreground_job = foreground_job

    def dispatch(self, can_run: CanRun) -> None:
        """Enqueues new jobs that this worker can run, and resumes those of dead workers. Raises StorageError."""
        with self._database.reading() as connection:
            jobs, living = read_open_jobs(connection), living_workers(self._database, connection)
        if not jobs:
            return
        now = Snapshot(jobs, living, self._engine.workflows([job.id for job in jobs]))
        work = chain(self._new(now, can_run), self._orphaned(now), _ended(now))
        if next(iter(work), None) is None:
            return  # most of the time: no need to block those who submit
        with state_change(self._database) as connection:
            jobs, living = read_open_jobs(connection), living_workers(self._database, connection)
            now = Snapshot(jobs, living, self._engine.workflows([job.id for job in jobs]))
            for job in _ended(now):
                if now.workflows[job.id].is_legacy:
                    self._engine.erase([job.id])
                else:
                    self._queue.fail(connection, job)
            for job in self._new(now, can_run):
                self._engine.enqueue(job.id, job.project, self._target(job.id, job.project))
            open_jobs = {job.id: job for job in now.jobs}
            for workflow in self._orphaned(now):
                orphan = open_jobs.get(workflow.job_id)
                if (
                    orphan is not None
                    and orphan.state is JobState.RUNNING
                    and orphan.worker not in living
                ):
                    self._queue.recover(connection, orphan)
                self._resume(workflow)

    def _resume(self, workflow: Workflow) -> None:
        if workflow.is_legacy:
            self._engine.erase([workflow.job_id])
        else:
            queue = self._target(workflow.job_id, workflow.project or "")
            self._engine.resume(workflow.job_id, queue)

    def next_project(self, can_run: CanRun) -> str | None:
        """Returns the project of the oldest job that this worker can run now."""
        if not self._engine.is_idle:
            return None
        with self._database.reading() as connection:
            jobs, living = read_open_jobs(connection), living_workers(self._database, connection)
        running = {
            job.project for job in jobs if job.worker in living and job.state is JobState.RUNNING
        }
        for job in jobs:
            if job.project not in running and job.worker not in living and can_run(job):
                return job.project
        return None

    def _target(self, job_id: str, project: str) -> str:
        return self._worker if job_id == self._foreground_job else project

    def _new(self, now: Snapshot, can_run: CanRun) -> Iterator[Job]:
        """Yields jobs that DBOS does not know, except those that wait for another worker that is alive.

        One job at a time waits in the queue of a project, since DBOS does not keep the order of jobs that are
        enqueued in the same second.
        """
        occupied = {
            workflow.queue for workflow in now.workflows.values() if workflow.is_enqueued
        } - {self._worker}
        for job in now.jobs:
            is_ours = job.worker in (None, self._worker) or job.worker not in now.living
            queue = self._target(job.id, job.project)
            if job.id not in now.workflows and is_ours and queue not in occupied and can_run(job):
                occupied.add(queue)
                yield job

    def _orphaned(self, now: Snapshot) -> Iterator[Workflow]:
        """Yields workflows whose worker is dead or released them, and those that no living worker will take."""
        for workflow in now.workflows.values():
            if workflow.is_claimed:
                is_released = workflow.worker == self._worker and self._engine.is_released(
                    workflow.job_id
                )
                is_free = is_released and not now.is_running(workflow.project)
                if workflow.worker not in now.living or is_free:
                    yield workflow
            elif workflow.is_enqueued and workflow.is_legacy:
                yield workflow
            elif workflow.is_enqueued and workflow.queue != self._worker:
                is_lost = workflow.queue != workflow.project and workflow.queue not in now.living
                if is_lost or workflow.job_id == self._foreground_job:
                    yield workflow


def _ended(now: Snapshot) -> Iterator[Job]:
    """Yields open jobs whose workflow has ended without a recorded outcome."""
    for job in now.jobs:
        workflow = now.workflows.get(job.id)
        if workflow is not None and not (workflow.is_claimed or workflow.is_enqueued):
            yield job
