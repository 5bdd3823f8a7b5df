"""A process's place among the workers: it is known to be alive, and carries out one claimed job at a time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from windlass.core.project_loader import describe_error
from windlass.errors import StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import LostError
from windlass.jobs.retention import Retention
from windlass.jobs.workers import HEARTBEAT_SECONDS, WorkerTable
from windlass.storage.database import Database
from windlass.workflows.execution.context import (
    RETRY_SECONDS,
    Checkpoint,
    JobAbandoned,
    JobCancelled,
    JobContext,
    JobLost,
    StepResult,
    retry_while_unavailable,
)
from windlass.workflows.pipeline_job import run_pipeline
from windlass.workflows.train_job import run_training

if TYPE_CHECKING:
    from windlass.workflows.execution.durable import DurableEngine


class Heartbeat:
    """Beats until it is stopped. Says once when the database goes, and once when it is back."""

    def __init__(self, workers: WorkerTable) -> None:
        self.worker = workers.register()
        self._workers = workers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the worker off the table."""
        self._stopping.set()
        self._thread.join(HEARTBEAT_SECONDS)
        try:
            self._workers.unregister(self.worker)
        except StorageError as error:  # the others will find out by the silence
            _log.warning("left without a word", extra={"reason": str(error)})

    def _beat(self) -> None:
        away = False
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            try:
                self._workers.beat(self.worker)
            except StorageError as error:
                if not away:
                    _log.warning("database away", extra={"reason": str(error)})
                away = True
                continue
            if away:
                _log.info("database back")
            away = False


JOB_KINDS: Mapping[str, Callable[[JobContext, Job, Checkpoint], StepResult]] = {
    "train": run_training,
    "pipeline": run_pipeline,
}


def run_job(context: JobContext, job_id: str, checkpoint: Checkpoint) -> StepResult:
    """Carry out a job of any kind: what it made, or `{"error": reason}` where it cannot be done.

    Raises Cancelled, Stopped or Lost where the work is not to go on here.
    """
    job = retry_while_unavailable(context, lambda: context.queue.get(job_id))
    return JOB_KINDS[job.kind](context, job, checkpoint)


RETENTION_SECONDS = 3600.0


class JobRetentionTask:
    """Does so for one worker. What fails is tried again an hour later; no job waits for it."""

    def __init__(self, database: Database, durable: "Callable[[], DurableEngine]") -> None:
        self._retention = Retention(database)
        self._durable = durable
        self._due = 0.0

    def remove_old_jobs(self) -> None:
        """Remove what is kept no longer, unless that was done within the hour."""
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
        """DBOS's part first: a crash in between leaves jobs that are found again, and no steps without one."""
        removed = 0
        while ids := self._retention.expired_jobs():
            self._durable().erase(ids)
            removed += self._retention.remove(ids)
        return removed


_log = logging.getLogger(__name__)


class JobRunner:
    """Carries out jobs with these hands. Imports DBOS with the first one, or `get_ready`."""

    def __init__(self, context: JobContext, heartbeat: Heartbeat) -> None:
        self._context = context
        self._heartbeat = heartbeat
        self._durable: DurableEngine | None = None
        self._retention_task = JobRetentionTask(context.registry.database, self.engine)

    def engine(self) -> "DurableEngine":
        """Launch DBOS, unless that was done. Raises StorageError."""
        if self._durable is None:
            from windlass.workflows.execution.durable import DurableEngine

            settings, worker = self._context.settings, self._context.worker
            self._durable = DurableEngine(settings, worker, partial(run_job, self._context))
        return self._durable

    def run(self, job: Job) -> Job | None:
        """Carry out a job that was claimed, and tell the desk how it ended; the job, or None where it was lost.

        Raises StorageError where the work cannot be kept; the job is in the queue again.
        """
        context, queue = self._context, self._context.queue
        _log.info("job begins", extra=_about(job))
        mine = (job.id, context.worker)
        try:
            made = self.engine().carry_out(job.id, context.stopping)
        except StorageError:
            self._told(partial(queue.release, *mine))
            raise
        except JobLost:
            _log.warning("job lost to another worker", extra=_about(job))
            return None
        except JobCancelled:
            ended = self._told(partial(queue.finish, *mine))
            self.engine().forget(job.id)
        except JobAbandoned:
            ended = self._told(partial(queue.release, *mine))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the job, not the worker
            _log.exception("job failed", extra=_about(job))
            reason = f"Unexpected {describe_error(error)}. This is a fault of Windlass; please report it."
            ended = self._told(partial(queue.finish, *mine, error=reason))
        else:
            ended = self._told(partial(_finish, self._context, job, made))
        if ended is not None:
            _log.info("job ended", extra=_about(ended))
        return ended

    def remove_old_jobs(self) -> None:
        """Remove old jobs, unless that was done within the hour."""
        self._retention_task.remove_old_jobs()

    def close(self) -> None:
        """Let everything go."""
        self._heartbeat.stop()
        if self._durable is not None:
            self._durable.close()
        if self._context.prestarted is not None:
            self._context.prestarted.close()

    def _told(self, tell: Callable[[], Job]) -> Job | None:
        """Tell the desk, as soon as it can be reached; None where the job is not ours, or nobody is there."""
        while True:
            try:
                return tell()
            except LostError as error:
                _log.warning("job lost to another worker", extra={"reason": str(error)})
                return None
            except StorageError as error:
                _log.warning("waiting for the desk", extra={"reason": str(error)})
            if self._context.stopping.is_set():
                return None  # the next worker finds what was kept, and tells
            time.sleep(RETRY_SECONDS)


def _finish(context: JobContext, job: Job, made: StepResult) -> Job:
    if "error" in made:
        return context.queue.finish(job.id, context.worker, error=made["error"])
    return context.queue.finish(job.id, context.worker, result=made)


def _about(job: Job) -> dict[str, object]:
    return {
        "job": job.id,
        "project": job.project,
        "state": job.state.value,
        "attempt": job.attempts,
        "error": job.error,
    }
