"""Context in which a worker runs a job, and what its steps share: errors, retries, progress, child processes."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from windlass.core.error_descriptions import describe_fault
from windlass.core.progress import ProgressCallback, ignore_progress
from windlass.errors import JobError, StorageError, UnknownError, WindlassError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobNotOwnedError, JobQueue
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.workflows.execution.project_process import OutputCallback, ProcessTask, ProjectProcess

StepResult = dict[str, Any]
# runs a named step, or returns the stored result of an earlier run
Checkpoint = Callable[[str, Callable[[], StepResult]], StepResult]
RunJob = Callable[[str, Checkpoint], None]  # runs the job of this id


class JobAbandoned(BaseException):
    """This process stops working on a job, for a reason outside the job; no `except Exception` catches it."""


class JobCancelled(JobAbandoned):
    """Somebody cancelled the job, over HTTP or with Ctrl+C; this worker ends it as cancelled."""


class WorkerStopped(JobAbandoned):
    """This worker is being stopped; the job returns to the queue and continues at the next worker."""


class JobDeferred(JobAbandoned):
    """The job cannot start yet, since another job of its project runs; it returns to the queue."""


class JobOwnershipLost(JobAbandoned):
    """Another worker owns the job now, having taken this one for dead, or the job has ended; nothing is written."""


STAGING_FOLDER = "jobs"  # in the home folder; holds WORKER/JOB

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class JobTimings:
    """Times of a job, in seconds."""

    poll: float = 0.2  # between checks whether the job was cancelled
    report: float = 0.5  # between writes of the progress to the queue
    retry: float = 2.0  # between attempts to reach an unavailable database or store
    timeout: float = 300.0  # that a step waits for an unavailable database or store


@dataclass(frozen=True)
class ProgressRange:
    """The part of a job's progress, 0..1, that one piece of its work covers."""

    begin: float = 0.0
    end: float = 1.0

    def at(self, share: float) -> float:
        """Returns the progress of the job once this share of the part is done, rounded: progress never goes back."""
        return round(self.begin + share * (self.end - self.begin), 9)

    def share(self, at: float) -> float:
        """Returns the share of the part that is done at this progress of the job."""
        return min(max((at - self.begin) / (self.end - self.begin), 0.0), 1.0)


@dataclass
class JobContext:
    """Everything that the steps of a job use: registry, queue, settings, the worker's id and callbacks.

    `folder` finds the folder of a job's project. `output` receives the lines that the project's code prints.
    `prestarted` is a project process that was started before the first job. `progress_range` is the part of
    the job that the current work covers. Setting `stopping` leaves the job to the next worker; setting
    `cancelling` ends it.
    """

    registry: Registry
    queue: JobQueue
    settings: Settings
    worker: str
    folder: Callable[[Job], Path | None]
    output: OutputCallback
    progress: ProgressCallback = ignore_progress
    prestarted: ProjectProcess | None = None
    progress_range: ProgressRange = ProgressRange()
    timings: JobTimings = JobTimings()
    stopping: threading.Event = field(default_factory=threading.Event)
    cancelling: threading.Event = field(default_factory=threading.Event)

    @property
    def staging(self) -> Path:
        """Staging folder of this worker; each worker has its own, since one taken for dead may still write."""
        return self.settings.home / STAGING_FOLDER / self.worker

    def report_progress(self, share: float, message: str) -> None:
        """Reports the progress of the current work to the callback in this process."""
        self.progress(self.progress_range.at(share), message)

    def project_process(self, job: Job) -> ProjectProcess:
        """Returns a process with the job's project: the prestarted one, else a new one. Raises JobError."""
        folder = self.folder(job)
        if folder is None:
            raise JobError(
                f"The folder of project {job.project} is not on this machine. Put it back, or submit the job again."
            )
        process, self.prestarted = self.prestarted or ProjectProcess(folder, self.output), None
        return process


def errors_as_result(step: Callable[[], StepResult]) -> StepResult:
    """Runs a step; returns its result, or `{"error": reason}`, which is stored so that it is not retried for ever."""
    try:
        return step()
    except JobNotOwnedError as error:
        raise JobOwnershipLost from error
    except WindlassError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - a fault of ours ends the job, not the worker
        _log.exception("job failed")
        return {"error": describe_fault(error)}


@contextmanager
def finished_task(
    context: JobContext,
    job: Job,
    process: ProjectProcess,
    task: ProcessTask,
    progress_range: ProgressRange,
) -> Iterator[ProjectProcess]:
    """Runs a task in a project process; yields the process once it has a result or an error, and closes it.

    A process that is killed from outside, as where memory runs out, is replaced by another one, once.
    `progress_range` is the part of the current work that the task covers. Raises JobCancelled, WorkerStopped,
    JobOwnershipLost, and JobError where no other process can be started.
    """
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, context.staging, ignore_errors=True)
        stack.enter_context(process)
        _run_task(context, job, process, task, progress_range)
        if process.was_killed:
            _log.warning("project process killed, started again", extra={"job": job.id})
            shutil.rmtree(context.staging, ignore_errors=True)
            process = stack.enter_context(context.project_process(job))
            _run_task(context, job, process, task, progress_range)
        yield process


def _run_task(
    context: JobContext,
    job: Job,
    process: ProjectProcess,
    task: ProcessTask,
    progress_range: ProgressRange,
) -> None:
    """Runs a task and reports its progress until there is a result or an error."""
    newest, saved, saved_at = (0.0, ""), (0.0, ""), 0.0

    def progress(share: float, message: str) -> None:
        nonlocal newest
        if share < 1:  # the result itself is still to be handled
            newest = (progress_range.at(share), message)
            context.report_progress(*newest)

    process.start(task, progress)
    while not process.wait(context.timings.poll):
        stop_if_requested(context, job)
        if newest != saved and time.monotonic() - saved_at >= context.timings.report:
            saved, saved_at = newest, time.monotonic()
            save_progress(context, job, *saved)


def stop_if_requested(context: JobContext, job: Job) -> None:
    """Raises WorkerStopped, JobCancelled or JobOwnershipLost where this process must not continue the job."""
    if context.stopping.is_set():
        raise WorkerStopped
    if context.cancelling.is_set():
        raise JobCancelled
    try:
        now = context.queue.get(job.id)
    except StorageError:
        return  # the work continues; the heartbeat logs the outage
    if now.worker != context.worker or now.state is not JobState.RUNNING:
        raise JobOwnershipLost
    if now.cancelling:
        raise JobCancelled


def save_progress(context: JobContext, job: Job, share: float, message: str) -> None:
    """Stores the progress of the current work in the queue. Raises JobNotOwnedError."""
    try:
        context.queue.report(job.id, context.worker, context.progress_range.at(share), message)
    except StorageError:
        return  # the next report will do


def retry_while_unavailable(context: JobContext, action: Callable[[], T]) -> T:
    """Runs `action` again until database and store are available; returns its result.

    Raises StorageError where they stay unavailable until the timeout; WorkerStopped, JobCancelled.
    """
    until = time.monotonic() + context.timings.timeout
    while True:
        try:
            return action()
        except StorageError as error:
            if time.monotonic() > until:
                raise
            _log.warning("waiting for the registry", extra={"reason": str(error)})
        if context.stopping.wait(context.timings.retry):
            raise WorkerStopped
        if context.cancelling.is_set():
            raise JobCancelled


def find_project_folder(job: Job, named: dict[str, Path], registry: Registry) -> Path | None:
    """Returns the folder of a job's project on this machine; None where there is none.

    It is the folder that the job names, else the one in `named` (by project), else the declared one.
    """
    requested: Any = job.request.get("folder")
    folders = [None if requested is None else Path(requested), named.get(job.project)]
    if requested is None and folders[-1] is None:
        try:
            folders.append(Path(registry.declaration(job.project).folder))
        except UnknownError:
            return None
    return next(
        (candidate for candidate in folders if candidate and (candidate / "project.py").is_file()),
        None,
    )


def remove_stale_staging(staging: Path, queue: JobQueue) -> None:
    """Removes the staging folders of dead workers. Raises StorageError."""
    left = {folder.name: folder for folder in staging.iterdir()} if staging.is_dir() else {}
    living = {worker.id for worker in queue.workers()}
    for name in left.keys() - living:
        shutil.rmtree(left[name], ignore_errors=True)
