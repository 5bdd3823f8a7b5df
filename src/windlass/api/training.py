"""`windlass.train`: trains a project as `windlass train` does, and returns the registered version."""

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from windlass.api.version import Version
from windlass.core.atomic_files import make_private_folder, translate_disk_errors
from windlass.core.bundle import Bundle
from windlass.core.error_descriptions import describe_error, missing_extra
from windlass.core.progress import Progress, ProgressCallback, show_progress
from windlass.core.project import Project
from windlass.core.project_loader import load_project, object_source
from windlass.core.project_spec import ProjectSpec
from windlass.errors import BundleError, ParameterError, ProjectError, WindlassError
from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE, TrainingRequest
from windlass.workflows.project_lookup import (
    current_user,
    open_registry,
    resolve_folder,
    settings_near,
)

T = TypeVar("T")

_REFRESH_SECONDS = 0.1  # between two looks at the work on another thread
_foreground = threading.Lock()  # DBOS runs once in a process: one training waits for the other


def train(  # noqa: PLR0913 - each is an argument of a training
    project: str | Path | Project = ".",
    /,
    *,
    model: str | None = None,
    seed: int = DEFAULT_SEED,
    test_size: float = DEFAULT_TEST_SIZE,
    data: str | Path | None = None,
    snapshot: int | None = None,
    artifacts: str | Path | None = None,
    track: bool = True,
    progress: Progress = True,
    **hyperparameters: Any,
) -> Version:
    """Trains a model, scores it on held-out rows, and registers it as a new version.

    A folder or a name trains as `windlass train` does: as a durable job, in a process of its own, after others of the
    project. A `Project` object, as of a notebook, trains in this process.

    Args:
        project: Folder of the project, its name in the registry, or the project itself.
        model: Name of the candidate. Default: the first one that the project declares.
        seed: Seed of the split and the model, from 0 to 2^32 - 1.
        test_size: Share of the rows to hold out, between 0 and 1.
        data: File to train on, where the project's data function takes one.
        snapshot: Number of the feature snapshot to train on. Default: the newest.
        artifacts: Folder for a copy of the bundle. Default: none, the registry alone has it.
        track: Whether to record the run in MLflow, where that is installed.
        progress: Whether to show a progress bar; or a function, called with the share done (0 to 1) and a message.
        hyperparameters: Those of the candidate, by name. Default: as it declares them.

    Returns:
        The version: a candidate that waits for `approve`, or in production where the project's policy is automatic and
        every gate passed. A gate that fails raises nothing: see `Version.gates`.

    Raises:
        ProjectError: There is no project, or it cannot be loaded.
        ParameterError: An argument or a hyperparameter cannot be used.
        JobError, DataError: The training failed; the message says why. DataError comes from a `Project` object.
        StorageError: Database or bundle store cannot be used.
        KeyboardInterrupt: It was interrupted; the job is cancelled.
    """
    file = None if data is None else Path(data)
    request = TrainingRequest(
        Path(), model, hyperparameters, seed, test_size, track, file, snapshot
    )
    with ExitStack() as stack, show_progress(progress) as report:
        copies = _copies(stack, artifacts)
        if isinstance(project, Project):
            return _train_object(project, request, report, copies)
        if isinstance(project, str | Path):
            return _train_folder(Path(project), request, report, copies)
    raise ParameterError(
        f"A {type(project).__name__} cannot be trained. Give the folder or the name of a project, or a Project."
    )


def _copies(stack: ExitStack, artifacts: str | Path | None) -> Callable[[Bundle], object]:
    """Returns the function that copies a bundle to the named folder, which is reserved now; else one that does not."""
    try:
        from windlass.workflows.foreground_training import ArtifactsFolder
    except ModuleNotFoundError as error:
        raise ProjectError(f"{missing_extra(error) or describe_error(error)}.") from error

    if artifacts is None:
        return lambda _: None
    return stack.enter_context(ArtifactsFolder(Path(artifacts))).publish


def _train_folder(
    target: Path,
    request: TrainingRequest,
    report: ProgressCallback,
    copies: Callable[[Bundle], object],
) -> Version:
    from windlass.workflows.execution.project_process import ProjectProcess
    from windlass.workflows.foreground_training import train_in_foreground

    settings = settings_near(target)
    folder = resolve_folder(target, settings)
    if not (folder / "project.py").is_file():
        load_project(folder)  # raises ProjectError, which says what is missing

    def work(progress: ProgressCallback, cancelling: threading.Event) -> Version:
        with _foreground, ProjectProcess(folder, _print_line) as process:
            trained = train_in_foreground(process, folder, request, settings, progress, cancelling)
        copies(trained.bundle)
        result = trained.job.result or {}
        with open_registry(settings) as registry:
            record = registry.version(trained.job.project, result["version"])
        return Version(record, settings, _warnings(result.get("warnings"), result.get("untracked")))

    return _run_on_thread(work, report)


def _run_on_thread(
    work: Callable[[ProgressCallback, threading.Event], T], report: ProgressCallback
) -> T:
    """Returns what `work` returns, from a thread without an event loop, while this one shows its progress.

    Ctrl+C, or the interrupt of a notebook, sets the event that `work` is given and waits for it; a second one does not.
    """
    cancelling, ended = threading.Event(), threading.Event()
    newest: list[tuple[float, str]] = []
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(lambda share, message: newest.append((share, message)), cancelling))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="windlass-train", daemon=True).start()
    while not ended.is_set():
        try:
            ended.wait(_REFRESH_SECONDS)
            if newest:
                latest = newest[-1]
                newest.clear()
                report(*latest)
        except KeyboardInterrupt:
            if cancelling.is_set():
                raise
            cancelling.set()
    if errors:
        raise errors[0]
    return results[0]


def _train_object(
    project: Project,
    request: TrainingRequest,
    report: ProgressCallback,
    copies: Callable[[Bundle], object],
) -> Version:
    """Trains in this process and thread: the project's functions may use what the notebook holds."""
    from windlass.workflows.train import train as train_bundle

    nowhere = settings_near(Path()).home / "notebooks" / project.name
    source = object_source(project, nowhere)
    settings = settings_near(source.folder)
    home = settings.home
    with translate_disk_errors(BundleError, "The bundle cannot be written", home):
        make_private_folder(home)
        staging = TemporaryDirectory(dir=home, prefix=".training-")
    with staging as folder:
        staged = replace(request, artifacts=Path(folder) / "bundle")
        try:
            result = train_bundle(project, source, staged, settings, report)
        except (WindlassError, KeyboardInterrupt):
            raise
        except (Exception, SystemExit) as error:
            raise ProjectError(
                f"Project {project.name!r} cannot be trained: {describe_error(error)}."
            ) from error
        with open_registry(settings, make=True) as registry:
            registry.declare(ProjectSpec.from_project(project, source))
            record = registry.register(result.bundle.path, trained_by=current_user())
            record = registry.apply_policy(record)
            copies(registry.fetch(record))
    return Version(record, settings, _warnings(result.warnings, result.untracked))


def _warnings(warnings: Sequence[str] | None, untracked: str | None) -> list[str]:
    return [*(warnings or ()), *([] if untracked is None else [untracked])]


def _print_line(line: str) -> None:
    """Writes a line that the project's code printed to standard error."""
    sys.stderr.write(f"{line}\n")
