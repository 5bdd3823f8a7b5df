"""Runs jobs in this process: heartbeat, the steps by kind of job, the outcome, and retention."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from windlass.core.error_descriptions import describe_fault
from windlass.errors import StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobNotOwnedError, ProjectBusyError
from windlass.jobs.retention import Retention
from windlass.jobs.workers import HEARTBEAT_SECONDS, WorkerTable
from windlass.storage.database import Database
from windlass.workflows.execution.context import (
    Checkpoint,
    JobAbandoned,
    JobCancelled,
    JobContext,
    JobDeferred,
    JobOwnershipLost,
    StepResult,
    WorkerStopped,
    errors_as_result,
)
from windlass.workflows.pipeline_job import run_pipeline
from windlass.workflows.train_job import run_training

if TYPE_CHECKING:
    from windlass.workflows.execution.durable import DurableEngine

RETENTION_SECONDS = 3600.0  # between two removals of expired jobs
POLL_SECONDS = 0.1  # between looks whether the project is free
BUSY_SECONDS = 1.0  # after which a job that cannot start is deferred

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Heartbeat:
    """Thread that records heartbeats; logs once when the database is unavailable, and once when it is back."""

    def __init__(self, workers: WorkerTable) -> None:
        self.worker = workers.register()
        self._workers = workers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops, and unregisters the worker."""
        self._stopping.set()
        self._thread.join(HEARTBEAT_SECONDS)
        try:
            self._workers.unregister(self.worker)
        except StorageError as error:  # the heartbeat expires
            _log.warning("worker not unregistered", extra={"reason": str(error)})

    def _beat(self) -> None:
        away = False
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._workers.beat(self.worker)
            except StorageError as error:
                if not away:
                    _log.warning("database unavailable", extra={"reason": str(error)})
                away = True
                continue
            if away:
                _log.info("database available again")
            away = False


JOB_KINDS: Mapping[str, Callable[[JobContext, Job, Checkpoint], StepResult]] = {
    "train": run_training,
    "pipeline": run_pipeline,
}


def run_job(context: JobContext, job: Job, checkpoint: Checkpoint) -> StepResult:
    """Runs a job of any kind; returns its result, or `{"error": reason}` where a step fails.

    Raises JobCancelled, WorkerStopped or JobOwnershipLost where this process must not continue.
    """

    def without_errors(name: str, step: Callable[[], StepResult]) -> StepResult:
        return checkpoint(name, partial(errors_as_result, step))

    return JOB_KINDS[job.kind](context, job, without_errors)


class JobRetentionTask:
    """Removes expired jobs, once an hour.

    Errors are logged; no job waits for it.
    """

    def __init__(self, database: Database, durable: "Callable[[], DurableEngine]") -> None:
        self._retention = Retention(database)
        self._durable = durable
        self._due = 0.0

    def remove_old_jobs(self) -> None:
        """Removes expired keys and jobs, unless that was done within the hour."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + RETENTION_SECONDS
        try:
            keys, jobs = self._retention.expire_keys(), self._remove_jobs()
        except StorageError as error:
            _log.warning("old jobs not removed", extra={"reason": str(error)})
            return
        if keys or jobs:
            _log.info("old jobs removed", extra={"jobs": jobs, "idempotency_keys": keys})

    def _remove_jobs(self) -> int:
        """Removes the rows of DBOS first: a crash in between leaves jobs, which are found again, and no steps."""
        removed = 0
        while ids := self._retention.expired_jobs():
            self._durable().erase(ids)
            removed += self._retention.remove(ids)
        return removed


class JobRunner:
    """Runs what DBOS claims for this worker.

    Imports DBOS with the first use of `engine`.

    With `own_queue` it listens to the queue of this worker, whose jobs wait until their project is free.
    Otherwise such a job is deferred after BUSY_SECONDS.
    """

    def __init__(
        self, context: JobContext, heartbeat: Heartbeat, *, own_queue: bool = False
    ) -> None:
        self._context = context
        self._heartbeat = heartbeat
        self._own_queue = own_queue
        self._engine: DurableEngine | None = None
        retention = JobRetentionTask(context.registry.database, self.engine)
        self.remove_old_jobs = retention.remove_old_jobs

    def engine(self) -> "DurableEngine":
        """Returns DBOS, launched. Raises StorageError."""
        if self._engine is None:
            from windlass.workflows.execution.durable import DurableEngine

            worker = self._context.worker
            engine = DurableEngine(self._context.settings, worker, self._run)
            engine.listen(worker if self._own_queue else None)
            self._engine = engine
        return self._engine

    def close(self, seconds: float = 0.0) -> None:
        """Stops the running job, shuts DBOS down and unregisters the worker."""
        self._context.stopping.set()
        if self._engine is not None:
            self._engine.close(seconds)
        self._heartbeat.stop()
        if self._context.prestarted is not None:
            self._context.prestarted.close()

    def _run(self, job_id: str, checkpoint: Checkpoint) -> None:
        context, queue = self._context, self._context.queue
        job = self._begin(job_id)
        if job is None:
            return
        _log.info("job begins", extra=_about(job))
        owned = (job.id, context.worker)
        try:
            result = run_job(context, job, checkpoint)
        except JobCancelled:
            ended = self._report(partial(queue.finish, *owned))
        except JobAbandoned as outcome:
            if isinstance(outcome, JobOwnershipLost):
                _log.warning("job taken over by another worker", extra=_about(job))
            with suppress(JobOwnershipLost, WorkerStopped):
                self._report(partial(queue.release, *owned))
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the job, not the worker
            _log.exception("job failed", extra=_about(job))
            ended = self._report(partial(queue.finish, *owned, error=describe_fault(error)))
        else:
            values = {"error": result["error"]} if "error" in result else {"result": result}
            ended = self._report(partial(queue.finish, *owned, **values))
        _log.info("job ended", extra=_about(ended))

    def _begin(self, job_id: str) -> Job | None:
        """Returns the job, running, as soon as the project is free; None where it has ended."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            begin = partial(self._context.queue.begin, job_id, self._context.worker)
            try:
                return self._report(begin)
            except ProjectBusyError as error:
                if not self._own_queue and time.monotonic() > deadline:
                    raise JobDeferred from error
            if self._context.stopping.wait(POLL_SECONDS):
                raise WorkerStopped

    def _report(self, change: Callable[[], T]) -> T:
        """Changes the job as soon as the database is available. Raises JobOwnershipLost, WorkerStopped."""
        while True:
            try:
                return change()
            except JobNotOwnedError as error:
                raise JobOwnershipLost from error
            except StorageError as error:
                _log.warning("waiting for the database", extra={"reason": str(error)})
            if self._context.stopping.is_set():
                raise WorkerStopped  # the next worker finds what was kept
            time.sleep(self._context.timings.retry)


def _about(job: Job) -> dict[str, object]:
    return {
        "job": job.id,
        "project": job.project,
        "state": job.state.value,
        "attempt": job.attempts,
        "error": job.error,
    }
