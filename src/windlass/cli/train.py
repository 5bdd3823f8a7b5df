"""`windlass train PROJECT` makes a version; a project's own `train.py` makes a bundle without one."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from windlass.cli.console import echo_warning, progress, run_command
from windlass.cli.pipeline import cancel_on_signal, import_job_modules, print_job_line
from windlass.cli.training_report import TrainingReport
from windlass.core.project import Project
from windlass.core.project_loader import load_project, project_source
from windlass.core.project_spec import ProjectSpec
from windlass.settings import Settings
from windlass.workflows.project_lookup import resolve_folder

if TYPE_CHECKING:
    from windlass.cli.train_flags import TrainFlags
    from windlass.workflows.execution.project_process import ProjectProcess


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
            _train(folder, flags, process, settings)

    return run_command(action)


def train_command(project: Project, arguments: Sequence[str] | None = None) -> None:
    """Trains `project` as the command line says, then exits the process: all that a `train.py` needs.

    It is an experiment: it makes a bundle, and no version. `arguments` are those of the process by default.
    """
    from windlass.cli.train_flags import parse_train_flags

    def action() -> None:
        from windlass.workflows.train import train

        source = project_source(project)
        models = ProjectSpec.from_project(project, source).models
        words = sys.argv[1:] if arguments is None else arguments
        flags = parse_train_flags(Path(sys.argv[0]).name, models, words)
        request = flags.request(source.folder / "artifacts")
        with progress(quiet=flags.json) as report:
            result = train(project, source, request, Settings.read(near=[source.folder]), report)
        TrainingReport.from_result(result).print(as_json=flags.json)

    raise SystemExit(run_command(action))


def _train(
    folder: Path, flags: "TrainFlags", process: "ProjectProcess", settings: Settings
) -> None:
    """Runs the job in this process, and copies the new bundle to the artifacts folder."""
    from windlass.workflows.foreground_training import ArtifactsFolder, train_in_foreground

    target = flags.artifacts or folder / "artifacts"
    warn = echo_warning if flags.artifacts is None else None
    cancelling = threading.Event()
    with ArtifactsFolder(target, warn) as artifacts:
        with progress(quiet=flags.json) as report, cancel_on_signal(cancelling):
            trained = train_in_foreground(
                process, folder, flags.request(target), settings, report, cancelling
            )
        copy = artifacts.publish(trained.bundle)
    TrainingReport.from_job(trained.job, trained.bundle, copy).print(as_json=flags.json)
