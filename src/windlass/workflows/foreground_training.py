"""A training in the foreground: its job, with this process as the worker, and a copy of the new bundle."""

import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from windlass.core.bundle import Bundle
from windlass.core.bundle_writer import check_replaceable, publish_bundle, staging_folder
from windlass.core.progress import ProgressCallback
from windlass.errors import BundleError, ParameterError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobRequest
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.execution.foreground import ForegroundJob
from windlass.workflows.execution.project_process import ProjectProcess
from windlass.workflows.project_lookup import current_user


@dataclass(frozen=True)
class TrainedVersion:
    """Job that trained and registered a version, and the version's bundle."""

    job: Job
    bundle: Bundle


def train_in_foreground(
    process: ProjectProcess,
    folder: Path,
    request: TrainingRequest,
    settings: Settings,
    progress: ProgressCallback,
    cancelling: threading.Event,
) -> TrainedVersion:
    """Trains the project in `folder`, which `process` has loaded, as a durable job that this process runs.

    Setting `cancelling` cancels the job. Raises ProjectError, ParameterError before anything is queued; JobError
    with the reason where the training fails; KeyboardInterrupt where it was cancelled; StorageError.
    """
    declaration = process.read_spec()
    job_request = request.job_request(folder)
    process.check_request(job_request)
    file = job_request["data"]
    if file is not None and not Path(file).exists():
        raise ParameterError(
            f"There is no {file} to train {declaration.name!r} on. Name another file with --data."
        )
    with ForegroundJob(settings, process, process.output, cancelling) as foreground:
        order = JobRequest(declaration.name, "train", job_request, current_user())
        job = foreground.run(order, progress)
        if job.result is None:
            raise KeyboardInterrupt
        return TrainedVersion(job, foreground.bundle(job))


class ArtifactsFolder:
    """Folder for a copy of the bundle, reserved before any work is done.

    Raises BundleError where it cannot be written; with `warn`, that is called with the reason instead.
    """

    def __init__(self, target: Path, warn: Callable[[str], None] | None = None) -> None:
        self._target = target
        self._warn_user = warn
        self._stack = ExitStack()
        self._folder: Path | None = None
        try:
            check_replaceable(target)
            self._folder = self._stack.enter_context(staging_folder(target))
        except BundleError as error:
            self._warn(error)

    def publish(self, bundle: Bundle) -> Path | None:
        """Puts a copy of a bundle there atomically.

        Returns its folder; None where it cannot be written.
        """
        if self._folder is None:
            return None
        try:
            shutil.copytree(bundle.path, self._folder, dirs_exist_ok=True)
            publish_bundle(self._folder, self._target)
        except OSError as error:
            self._warn(BundleError(f"Cannot write to {self._target}: {error}."), error)
            return None
        except BundleError as error:
            self._warn(error)
            return None
        return self._target

    def __enter__(self) -> "ArtifactsFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _warn(self, error: BundleError, cause: Exception | None = None) -> None:
        if self._warn_user is None:
            raise error from cause
        self._warn_user(f"the registry alone keeps the bundle. {error}")
