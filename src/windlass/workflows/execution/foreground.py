"""A job in the foreground: submitted, run and awaited by one process, which is its own worker."""

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

from windlass.core.bundle import Bundle
from windlass.core.progress import ProgressCallback
from windlass.errors import JobError, StorageError, WindlassError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.workflows.execution.context import (
    STAGING_FOLDER,
    JobContext,
    find_project_folder,
    remove_stale_staging,
)
from windlass.workflows.execution.project_process import OutputCallback, ProjectProcess
from windlass.workflows.execution.runner import Heartbeat, JobRunner

_POLL_SECONDS = 0.1  # between looks at a job that waits, or that another worker runs
_LOOK_SECONDS = 1.0  # between looks at the job while it runs here; its end is noticed at once
_END_SECONDS = 5.0  # that the end of the job may take


class ForegroundJob:
    """This process as the worker of one job. `process` has loaded the project already.

    `output` receives what the project's code prints in processes that are started later. Setting `cancelling`
    cancels the job. Raises SettingsError, StorageError.
    """

    def __init__(
        self,
        settings: Settings,
        process: ProjectProcess,
        output: OutputCallback,
        cancelling: threading.Event | None = None,
    ) -> None:
        with ExitStack() as stack:
            self._registry = Registry.open(settings)
            stack.callback(self._registry.close)
            heartbeat = Heartbeat(WorkerTable(self._registry.database))
            self._context = JobContext(
                registry=self._registry,
                queue=JobQueue(self._registry.database),
                settings=settings,
                worker=heartbeat.worker,
                folder=lambda job: find_project_folder(job, {}, self._registry),
                output=output,
                prestarted=process,
                cancelling=cancelling or threading.Event(),
            )
            remove_stale_staging(settings.home / STAGING_FOLDER, self._context.queue)
            self._runner = JobRunner(self._context, heartbeat, own_queue=True)
            stack.callback(self._runner.close, _END_SECONDS)
            self._stack = stack.pop_all()

    @property
    def cancelling(self) -> threading.Event:
        """Event to set in order to cancel the job."""
        return self._context.cancelling

    def run(
        self, job_request: JobRequest, progress: ProgressCallback, *, resume: bool = False
    ) -> Job:
        """Submits a job and runs it as soon as no other one of the project runs; returns it as it ended.

        With `resume`, an unfinished job with the same request is taken up, if there is one: after its last
        finished step where its worker died; where another worker runs it, this process waits for it.

        Raises JobError with the reason where the job failed or was cancelled by somebody else; StorageError.
        """
        context, queue = self._context, self._context.queue
        context.progress = progress
        unfinished = self._find_unfinished(job_request) if resume else None
        job = unfinished or queue.submit(replace(job_request, worker=context.worker))
        try:
            ended = self._wait(job)
        except StorageError:
            if unfinished is None:
                with suppress(WindlassError):  # nobody waits for it; the first error counts
                    queue.cancel(job.id)
            raise
        self._runner.remove_old_jobs()
        if ended.state is JobState.FAILED:
            raise JobError(ended.error or f"Job {job.id} failed.")
        if ended.state is JobState.CANCELLED and not self.cancelling.is_set():
            raise JobError(f"Job {job.id} was cancelled by somebody else.")
        return ended

    def bundle(self, job: Job) -> Bundle:
        """Returns the bundle of the version that the job registered. Raises IntegrityError, StorageError."""
        assert job.result is not None
        return self._registry.fetch(self._registry.version(job.project, job.result["version"]))

    def __enter__(self) -> "ForegroundJob":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _find_unfinished(self, job_request: JobRequest) -> Job | None:
        """Returns the newest unfinished job with the same request."""
        for job in self._context.queue.list(job_request.project):
            is_same = (job.kind, job.request) == (job_request.kind, job_request.request)
            if is_same and not job.state.is_final:
                return job
        return None

    def _wait(self, job: Job) -> Job:
        """Dispatches the job to this process and returns it once it has ended, here or elsewhere."""
        from windlass.workflows.execution.dispatcher import Dispatcher

        context, engine = self._context, self._runner.engine()
        dispatcher = Dispatcher(
            self._registry.database, engine, context.worker, foreground_job=job.id
        )
        reported = ""
        while True:
            try:
                dispatcher.dispatch(lambda other: other.id == job.id)
                now = context.queue.get(job.id)
                if now.state.is_final:
                    return now
                if self._runs_here(now):
                    engine.wait_idle(_LOOK_SECONDS)
                    continue
                if context.cancelling.is_set() and now.worker != context.worker:
                    return now if now.worker is not None else context.queue.cancel(now.id)
                if context.cancelling.is_set() and now.state is JobState.QUEUED:
                    return context.queue.cancel(job.id)
                running = context.queue.running(job.project)
            except StorageError:
                if engine.is_idle:
                    raise
                running = None  # the work continues; the heartbeat logs the outage
            if running is not None and running.worker != context.worker:
                message = _waiting_message(running, job)
                if message != reported:
                    reported = message
                    context.progress(now.progress, message)
            time.sleep(_POLL_SECONDS)

    def _runs_here(self, job: Job) -> bool:
        is_ours = job.state is JobState.RUNNING and job.worker == self._context.worker
        return is_ours and not self._runner.engine().is_idle


def _waiting_message(running: Job, job: Job) -> str:
    if running.id == job.id:
        return f"Another process is working on it: {running.message}"
    deed = "trains" if running.kind == "train" else "runs the pipeline of"
    return f"Waiting: {running.asked_by} {deed} {running.project} in job {running.id}"
