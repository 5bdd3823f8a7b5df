"""What carrying out any job takes: whose hands do it, how its steps end, and a child process followed to its end."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from windlass.core.project_loader import describe_error
from windlass.errors import JobError, StorageError, UnknownError, WindlassError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, LostError
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.training.plan import ProgressCallback, ignore_progress
from windlass.workflows.execution.project_process import OutputCallback, ProcessTask, ProjectProcess

StepResult = dict[str, Any]
Checkpoint = Callable[
    [str, Callable[[], StepResult]], StepResult
]  # does a named step, or gives what it made before
Work = Callable[[str, Checkpoint], StepResult]  # carries out the job of this id


class JobAbandoned(BaseException):
    """This process goes on with a job no further, for a reason that the job is not to blame for."""


class JobCancelled(JobAbandoned):
    """Somebody asked for the job to be given up."""


class WorkerStopped(JobAbandoned):
    """This process was asked to end."""


class JobLost(JobAbandoned):
    """Another worker has the job."""


STAGING = "jobs"  # in the home folder: a folder for each worker, one for each job in it
POLL_SECONDS = 0.2  # between looks at whether the job was cancelled
TELL_SECONDS = 0.5  # between reports of progress to the desk
RETRY_SECONDS = 2.0
TIMEOUT_SECONDS = 300.0  # that finished work waits for a database or store that is away

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class ProgressRange:
    """The part of a job's way, 0..1, that a piece of its work makes."""

    begin: float = 0.0
    end: float = 1.0

    def at(self, share: float) -> float:
        """How far the job has come, once this share of the part is done."""
        return self.begin + share * (self.end - self.begin)

    def share(self, at: float) -> float:
        """The share of the part that is done, once the job has come so far."""
        return min(max((at - self.begin) / (self.end - self.begin), 0.0), 1.0)


@dataclass
class JobContext:
    """What carrying out jobs takes: where things are, in whose name the work is done, and who listens.

    `folder` finds a job's project; `output` gets what the project's code prints; `ready` is a process
    that was started ahead of the first job. `way` is what the work in hand is of the job. `stopping` asks
    for the job to be left to the next worker, `cancelling` for it to be ended.
    """

    registry: Registry
    desk: JobQueue
    settings: Settings
    worker: str
    folder: Callable[[Job], Path | None]
    output: OutputCallback
    progress: ProgressCallback = ignore_progress
    ready: ProjectProcess | None = None
    way: ProgressRange = ProgressRange()
    stopping: threading.Event = field(default_factory=threading.Event)
    cancelling: threading.Event = field(default_factory=threading.Event)

    @property
    def staging(self) -> Path:
        """Where this worker stages its trainings: apart from those of one that only seemed dead."""
        return self.settings.home / STAGING / self.worker

    def tell(self, share: float, message: str) -> None:
        """Say to whoever listens here how far the work in hand has come."""
        self.progress(self.way.at(share), message)

    def trainer(self, job: Job) -> ProjectProcess:
        """A process that has the job's project: the one that is ready, else a new one. Raises JobError."""
        folder = self.folder(job)
        if folder is None:
            raise JobError(
                f"The folder of project {job.project} is not on this machine any more. Put it back, or ask anew."
            )
        trainer, self.ready = self.ready or ProjectProcess(folder, self.output), None
        return trainer


def guarded(step: Callable[[], StepResult]) -> StepResult:
    """What a step made, or why it failed: kept like any other outcome, so that it is not tried for ever."""
    try:
        return step()
    except LostError as error:
        raise JobLost from error
    except WindlassError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - a fault of ours ends the job, not the worker
        _log.exception("job failed")
        return {
            "error": f"Unexpected {describe_error(error)}. This is a fault of Windlass; please report it."
        }


def follow(
    hands: JobContext, job: Job, trainer: ProjectProcess, asked: ProcessTask, way: ProgressRange
) -> None:
    """Have a process do what is asked, and tell how it comes on, until it has a result or an error.

    `way` is the part of the work in hand that this is. Raises Cancelled, Stopped or Lost.
    """
    newest, last, told_at = (0.0, ""), (0.0, ""), 0.0

    def progress(share: float, message: str) -> None:
        nonlocal newest
        if share < 1:  # what is to be done with the result is still to come
            newest = (way.at(share), message)
            hands.tell(*newest)

    trainer.begin(asked, progress)
    while not trainer.wait(POLL_SECONDS):
        stop_if_asked(hands, job)
        if newest != last and time.monotonic() - told_at >= TELL_SECONDS:
            last, told_at = newest, time.monotonic()
            report(hands, job, *last)


def stop_if_asked(hands: JobContext, job: Job) -> None:
    """Raise Stopped, Cancelled or Lost where the job is not to go on here."""
    if hands.stopping.is_set():
        raise WorkerStopped
    if hands.cancelling.is_set():
        raise JobCancelled
    try:
        now = hands.desk.get(job.id)
    except StorageError:
        return  # the work goes on; whoever beats says that the database is away
    if now.worker != hands.worker or now.state is not JobState.RUNNING:
        raise JobLost
    if now.cancelling:
        raise JobCancelled


def report(hands: JobContext, job: Job, share: float, message: str) -> None:
    """Tell the desk how far the work in hand has come. Raises LostError."""
    try:
        hands.desk.report(job.id, hands.worker, hands.way.at(share), message)
    except StorageError:
        return  # the next report will do


def patiently(hands: JobContext, action: Callable[[], T]) -> T:
    """What `action` returns, once database and store are there to do it.

    Raises StorageError where they stay away for TIMEOUT_SECONDS, Stopped, Cancelled.
    """
    until = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return action()
        except StorageError as error:
            if time.monotonic() > until:
                raise
            _log.warning("waiting for the registry", extra={"reason": str(error)})
        if hands.stopping.wait(RETRY_SECONDS):
            raise WorkerStopped
        if hands.cancelling.is_set():
            raise JobCancelled


def job_folder(job: Job, named: dict[str, Path], registry: Registry) -> Path | None:
    """Where the project of a job lies on this machine; None where it does not.

    The folder that the job names, else the one in `named`, by project, else where it was declared.
    """
    asked: Any = job.request.get("folder")
    places = [None if asked is None else Path(asked), named.get(job.project)]
    if asked is None and places[-1] is None:
        try:
            places.append(Path(registry.declaration(job.project).folder))
        except UnknownError:
            return None
    return next((place for place in places if place and (place / "project.py").is_file()), None)


def sweep(staging: Path, desk: JobQueue) -> None:
    """Remove what killed workers left of their work in `staging`. Raises StorageError."""
    left = {folder.name: folder for folder in staging.iterdir()} if staging.is_dir() else {}
    crew = {worker.id for worker in desk.workers()}
    for name in left.keys() - crew:
        shutil.rmtree(left[name], ignore_errors=True)
