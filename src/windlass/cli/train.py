"""`windlass train PROJECT`: a training that makes a version; and a project's own `train.py`, which makes a bundle."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.cli.console import guarded, progress, say_error
from windlass.cli.context import actor
from windlass.cli.pipeline import import_what_jobs_need, interrupting, printed
from windlass.cli.train_flags import (
    ABOUT,
    hyperparameters,
    split_folder,
    training_parser,
    training_request,
)
from windlass.cli.training_report import TrainingReport
from windlass.core.bundle import Bundle
from windlass.core.bundle_writer import check_replaceable, publish_bundle, staging_folder
from windlass.core.project import Project
from windlass.core.project_loader import load_project, project_source
from windlass.core.project_spec import ProjectSpec
from windlass.errors import BundleError
from windlass.settings import Settings

if TYPE_CHECKING:
    import typer

    from windlass.workflows.execution.project_process import ProjectProcess


class ArtifactsFolder:
    """The place, held ready before any work is done. Where it was `named`, it must be usable.

    Raises BundleError; a place that nobody named is done without, with a warning.
    """

    def __init__(self, target: Path, *, named: bool) -> None:
        self._target = target
        self._named = named
        self._stack = ExitStack()
        self._folder: Path | None = None
        try:
            check_replaceable(target)
            self._folder = self._stack.enter_context(staging_folder(target))
        except BundleError as error:
            self._warn(error)

    def leave(self, bundle: Bundle) -> Path | None:
        """Put a copy of a bundle there at one stroke; where it is, or None without a place."""
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
        if self._named:
            raise error from cause
        say_error(f"warning: the registry alone keeps the bundle. {error}")


def register(app: "typer.Typer") -> None:
    """Attach `train` to the application. The flags depend on the project, so they are read by our own parser."""
    import typer

    @app.command(
        "train",
        help=ABOUT,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def train(context: typer.Context) -> None:
        raise typer.Exit(run(context.args))


def run(arguments: Sequence[str]) -> int:
    """`windlass train [PROJECT] [options]`; returns the exit code."""
    folder, rest = split_folder(arguments)
    prog = "windlass train [PROJECT]"
    is_project = (folder / "project.py").is_file()
    if {"-h", "--help"} & set(rest) and not is_project:
        training_parser(prog, ()).print_help()
        return 0

    def action() -> None:
        if not is_project:
            load_project(folder)  # says what is missing
        from windlass.workflows.execution.project_process import ProjectProcess

        with ProjectProcess(folder, printed) as trainer:
            import_what_jobs_need()
            declaration = trainer.declared()
            parsed = training_parser(prog, declaration.models).parse_args(rest)
            _train(folder, declaration, parsed, trainer)

    return guarded(action)


def train_command(project: Project, arguments: Sequence[str] | None = None) -> None:
    """Train `project` as the command line asks, then leave the process: the whole of a `train.py`.

    An experiment: it makes a bundle, and no version.
    """

    def action() -> None:
        from windlass.training.plan import TrainingRequest
        from windlass.workflows.train import train

        source = project_source(project)
        models = ProjectSpec.from_project(project, source).models
        parsed = training_parser(Path(sys.argv[0]).name, models).parse_args(arguments)
        request = TrainingRequest(
            artifacts=parsed.artifacts or source.folder / "artifacts",
            model=parsed.model,
            hyperparameters=hyperparameters(models, parsed),
            seed=parsed.seed,
            test_size=parsed.test_size,
            track=not parsed.no_track,
            data=parsed.data,
            snapshot=parsed.snapshot,
        )
        with progress(quiet=parsed.json) as report:
            result = train(project, source, request, Settings.read(), report)
        TrainingReport.of_result(result).tell(as_json=parsed.json)

    raise SystemExit(guarded(action))


def _train(
    folder: Path, declaration: ProjectSpec, parsed: argparse.Namespace, trainer: "ProjectProcess"
) -> None:
    """Ask for the job, carry it out here, and leave the newest bundle in the project's folder too."""
    from windlass.jobs.queue import JobRequest
    from windlass.workflows.execution.foreground import ForegroundJob

    request = training_request(declaration.models, parsed, folder)
    target = parsed.artifacts or folder / "artifacts"
    with ExitStack() as stack:
        artifacts = stack.enter_context(ArtifactsFolder(target, named=parsed.artifacts is not None))
        trainer.check(request)
        attended = stack.enter_context(ForegroundJob(Settings.read(), trainer, printed))
        with progress(quiet=parsed.json) as report, interrupting(attended.cancelling):
            order = JobRequest(declaration.name, "train", request, actor())
            job = attended.carry_out(order, report)
        if job.result is None:
            raise KeyboardInterrupt
        bundle = attended.bundle(job)
        report_ = TrainingReport.of_job(job, bundle, artifacts.leave(bundle))
    report_.tell(as_json=parsed.json)
