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
    STAGING,
    JobContext,
    job_folder,
    sweep,
)
from windlass.workflows.execution.project_process import OutputCallback, ProjectProcess
from windlass.workflows.execution.runner import Heartbeat, JobRunner


class ForegroundJob:
    """This process as a worker of one job. `trainer` has read the project already.

    `output` gets what the project's code prints in processes that are started later. Setting `cancelling`
    has the job cancelled. Raises SettingsError, StorageError.
    """

    def __init__(self, settings: Settings, trainer: ProjectProcess, output: OutputCallback) -> None:
        with ExitStack() as stack:
            self._registry = Registry.open(settings)
            stack.callback(self._registry.close)
            heartbeat = Heartbeat(WorkerTable(self._registry.database))
            self._hands = JobContext(
                registry=self._registry,
                desk=JobQueue(self._registry.database),
                settings=settings,
                worker=heartbeat.worker,
                folder=lambda job: job_folder(job, {}, self._registry),
                output=output,
                ready=trainer,
            )
            sweep(settings.home / STAGING, self._hands.desk)
            self._runner = JobRunner(self._hands, heartbeat)
            stack.callback(self._runner.close)
            self._stack = stack.pop_all()

    @property
    def cancelling(self) -> threading.Event:
        """Set by whoever wants the job cancelled."""
        return self._hands.cancelling

    def carry_out(
        self, order: JobRequest, progress: ProgressCallback, *, go_on: bool = False
    ) -> Job:
        """Have a job done, once no other one of the project runs; the job, succeeded or given up by us.

        To `go_on` is to take one that was asked for in the same words and has not ended, if there is one:
        from the worker that died of it, at the first step not finished; one that is at work on it is
        waited for.

        Raises JobError with the reason where it failed, was cancelled by somebody else, or went to
        another worker; StorageError.
        """
        hands, desk = self._hands, self._hands.desk
        hands.progress = progress
        left = self._left(order) if go_on else None
        job = left or desk.submit(replace(order, worker=hands.worker))
        try:
            ended = self._done(job)
        except StorageError:
            if left is None:
                with suppress(
                    WindlassError
                ):  # nobody waits for it any more; the first error counts
                    desk.cancel(job.id)
            raise
        self._runner.tidy()
        if ended is None:
            raise JobError(
                f"Job {job.id} went to another worker: this process was away for too long."
                f" See what comes of it with `windlass versions {order.project}`."
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

    def _left(self, order: JobRequest) -> Job | None:
        """The newest job that was asked for in the same words and has not ended."""
        asked = (order.kind, order.request)
        found = self._hands.desk.list(order.project)
        return next(
            (one for one in found if (one.kind, one.request) == asked and not one.state.is_final),
            None,
        )

    def _done(self, job: Job) -> Job | None:
        """The job as it ended: here, or elsewhere before we could begin; None where it was lost."""
        begun = self._claim(job)
        if begun is None:
            return self._given_up(job)
        return begun if begun.state.is_final else self._runner.run(begun)

    def _given_up(self, job: Job) -> Job:
        """The job, cancelled, unless another worker is about it."""
        desk = self._hands.desk
        is_elsewhere = desk.get(job.id).worker not in (None, self._hands.worker)
        return desk.get(job.id) if is_elsewhere else desk.cancel(job.id)

    def _claim(self, job: Job) -> Job | None:
        """The job, claimed as soon as the project is free, or ended; None where it is to be given up."""
        hands, desk = self._hands, self._hands.desk
        told = ""
        while (claimed := desk.claim(hands.worker, job_id=job.id)) is None:
            if hands.cancelling.wait(POLL_SECONDS):
                return None
            now = desk.get(job.id)
            if now.state.is_final:
                return now
            running = desk.running(job.project)
            if running is not None and (message := _waiting(running, job)) != told:
                told = message
                hands.progress(now.progress, message)
        return claimed


def _waiting(running: Job, job: Job) -> str:
    if running.id == job.id:
        return f"Another process is about it: {running.message}"
    deed = "trains" if running.kind == "train" else "runs the pipeline of"
    return f"Waiting: {running.asked_by} {deed} {running.project} in job {running.id}"
