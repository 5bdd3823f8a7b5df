"""`windlass train PROJECT` makes a version; a project's own `train.py` makes a bundle without one."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from windlass.cli.console import echo_error, progress, run_command
from windlass.cli.pipeline import cancel_on_signal, import_job_modules, print_job_line
from windlass.cli.training_report import TrainingReport
from windlass.core.bundle import Bundle
from windlass.core.bundle_writer import check_replaceable, publish_bundle, staging_folder
from windlass.core.project import Project
from windlass.core.project_loader import load_project, project_source
from windlass.core.project_spec import ProjectSpec
from windlass.errors import BundleError
from windlass.settings import Settings
from windlass.workflows.project_lookup import current_user, resolve_folder

if TYPE_CHECKING:
    from windlass.cli.train_flags import TrainFlags
    from windlass.workflows.execution.project_process import ProjectProcess


class ArtifactsFolder:
    """Folder for a copy of the bundle, reserved before any work is done.

    Raises BundleError where it cannot be written and the user named it (`is_named`); else it only warns.
    """

    def __init__(self, target: Path, *, is_named: bool) -> None:
        self._target = target
        self._is_named = is_named
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
        if self._is_named:
            raise error from cause
        echo_error(f"warning: the registry alone keeps the bundle. {error}")


def register(app: typer.Typer) -> None:
    """Adds `train` to the application; its flags depend on the project, so `run` parses them."""

    @app.command(
        "train",
        help="Train a model, score it on held-out rows, and seal it in a bundle.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def train(context: typer.Context) -> None:
        raise typer.Exit(run(context.args))


def run(arguments: Sequence[str]) -> int:
    """Runs `windlass train [PROJECT] [options]` and returns the exit code."""
    from windlass.cli.train_flags import parse_train_flags, split_folder

    target, rest = split_folder(arguments)
    prog = "windlass train [PROJECT]"

    def action() -> None:
        settings = Settings.read(near=[target])
        folder = resolve_folder(target, settings)
        if not (folder / "project.py").is_file():
            if {"-h", "--help"} & set(rest):
                parse_train_flags(prog, (), ["--help"])
            load_project(folder)  # raises ProjectError, which says what is missing
        from windlass.workflows.execution.project_process import ProjectProcess

        with ProjectProcess(folder, print_job_line) as process:
            import_job_modules()
            declaration = process.read_spec()
            flags = parse_train_flags(prog, declaration.models, rest)
            _train(folder, declaration, flags, process, settings)

    return run_command(action)


def train_command(project: Project, arguments: Sequence[str] | None = None) -> None:
    """Trains `project` as the command line says, then exits the process: all that a `train.py` needs.

    It is an experiment: it makes a bundle, and no version. `arguments` are those of the process by default.
    """
    from windlass.cli.train_flags import parse_train_flags

    def action() -> None:
        from windlass.training.plan import TrainingRequest
        from windlass.workflows.train import train

        source = project_source(project)
        models = ProjectSpec.from_project(project, source).models
        words = sys.argv[1:] if arguments is None else arguments
        flags = parse_train_flags(Path(sys.argv[0]).name, models, words)
        request = TrainingRequest(
            artifacts=flags.artifacts or source.folder / "artifacts",
            model=flags.model,
            hyperparameters=flags.hyperparameters,
            seed=flags.seed,
            test_size=flags.test_size,
            track=flags.track,
            data=flags.data,
            snapshot=flags.snapshot,
        )
        with progress(quiet=flags.json) as report:
            result = train(project, source, request, Settings.read(near=[source.folder]), report)
        TrainingReport.from_result(result).print(as_json=flags.json)

    raise SystemExit(run_command(action))


def _train(
    folder: Path,
    declaration: ProjectSpec,
    flags: "TrainFlags",
    process: "ProjectProcess",
    settings: Settings,
) -> None:
    """Submits the job, runs it in this process, and copies the new bundle to the artifacts folder."""
    from windlass.jobs.queue import JobRequest
    from windlass.workflows.execution.foreground import ForegroundJob

    request = flags.job_request(folder)
    target = flags.artifacts or folder / "artifacts"
    with ExitStack() as stack:
        artifacts = stack.enter_context(
            ArtifactsFolder(target, is_named=flags.artifacts is not None)
        )
        process.check_request(request)
        foreground = stack.enter_context(ForegroundJob(settings, process, print_job_line))
        with progress(quiet=flags.json) as report, cancel_on_signal(foreground.cancelling):
            order = JobRequest(declaration.name, "train", request, current_user())
            job = foreground.run(order, report)
        if job.result is None:
            raise KeyboardInterrupt
        bundle = foreground.bundle(job)
        training_report = TrainingReport.from_job(job, bundle, artifacts.publish(bundle))
    training_report.print(as_json=flags.json)
