"""A job that somebody waits for: asked for and carried out by this very process, as its own worker."""

import threading
from contextlib import ExitStack, suppress
from dataclasses import replace

from windlass.core.bundle import Bundle
from windlass.errors import JobError, StorageError, WindlassError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.training.plan import ProgressCallback
from windlass.workflows.execution.context import (
    POLL_SECONDS,
    STAGING_FOLDER,
    JobContext,
    find_project_folder,
    remove_stale_staging,
)
from windlass.workflows.execution.project_process import OutputCallback, ProjectProcess
from windlass.workflows.execution.runner import Heartbeat, JobRunner


class ForegroundJob:
    """This process as a worker of one job. `trainer` has read the project already.

    `output` gets what the project's code prints in processes that are started later. Setting `cancelling`
    has the job cancelled. Raises SettingsError, StorageError.
    """

    def __init__(self, settings: Settings, process: ProjectProcess, output: OutputCallback) -> None:
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
            )
            remove_stale_staging(settings.home / STAGING_FOLDER, self._context.queue)
            self._runner = JobRunner(self._context, heartbeat)
            stack.callback(self._runner.close)
            self._stack = stack.pop_all()

    @property
    def cancelling(self) -> threading.Event:
        """Set by whoever wants the job cancelled."""
        return self._context.cancelling

    def run(
        self, job_request: JobRequest, progress: ProgressCallback, *, resume: bool = False
    ) -> Job:
        """Have a job done, once no other one of the project runs; the job, succeeded or given up by us.

        To `go_on` is to take one that was asked for in the same words and has not ended, if there is one:
        from the worker that died of it, at the first step not finished; one that is at work on it is
        waited for.

        Raises JobError with the reason where it failed, was cancelled by somebody else, or went to
        another worker; StorageError.
        """
        context, queue = self._context, self._context.queue
        context.progress = progress
        left = self._find_unfinished(job_request) if resume else None
        job = left or queue.submit(replace(job_request, worker=context.worker))
        try:
            ended = self._run(job)
        except StorageError:
            if left is None:
                with suppress(
                    WindlassError
                ):  # nobody waits for it any more; the first error counts
                    queue.cancel(job.id)
            raise
        self._runner.remove_old_jobs()
        if ended is None:
            raise JobError(
                f"Job {job.id} went to another worker: this process was away for too long."
                f" See what comes of it with `windlass versions {job_request.project}`."
            )
        if ended.state is JobState.FAILED:
            raise JobError(ended.error or f"Job {job.id} failed.")
        if ended.state is JobState.CANCELLED and not self.cancelling.is_set():
            raise JobError(f"Job {job.id} was cancelled by somebody else.")
        return ended

    def bundle(self, job: Job) -> Bundle:
        """The bundle of the version that a job made. Raises IntegrityError, StorageError."""
        assert job.result is not None
        return self._registry.fetch(self._registry.version(job.project, job.result["version"]))

    def __enter__(self) -> "ForegroundJob":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _find_unfinished(self, job_request: JobRequest) -> Job | None:
        """The newest job that was asked for in the same words and has not ended."""
        asked = (job_request.kind, job_request.request)
        found = self._context.queue.list(job_request.project)
        return next(
            (one for one in found if (one.kind, one.request) == asked and not one.state.is_final),
            None,
        )

    def _run(self, job: Job) -> Job | None:
        """The job as it ended: here, or elsewhere before we could begin; None where it was lost."""
        begun = self._claim(job)
        if begun is None:
            return self._give_up(job)
        return begun if begun.state.is_final else self._runner.run(begun)

    def _give_up(self, job: Job) -> Job:
        """The job, cancelled, unless another worker is about it."""
        queue = self._context.queue
        is_elsewhere = queue.get(job.id).worker not in (None, self._context.worker)
        return queue.get(job.id) if is_elsewhere else queue.cancel(job.id)

    def _claim(self, job: Job) -> Job | None:
        """The job, claimed as soon as the project is free, or ended; None where it is to be given up."""
        context, queue = self._context, self._context.queue
        told = ""
        while (claimed := queue.claim(context.worker, job_id=job.id)) is None:
            if context.cancelling.wait(POLL_SECONDS):
                return None
            now = queue.get(job.id)
            if now.state.is_final:
                return now
            running = queue.running(job.project)
            if running is not None and (message := _waiting_message(running, job)) != told:
                told = message
                context.progress(now.progress, message)
        return claimed


def _waiting_message(running: Job, job: Job) -> str:
    if running.id == job.id:
        return f"Another process is about it: {running.message}"
    deed = "trains" if running.kind == "train" else "runs the pipeline of"
    return f"Waiting: {running.asked_by} {deed} {running.project} in job {running.id}"
