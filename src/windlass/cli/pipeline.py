"""`windlass pipeline`: from raw events to a candidate that waits for approval, as one durable job."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.cli.console import (
    DONE,
    FAILED,
    Json,
    add_command,
    echo_error,
    echo_facts,
    echo_json,
    fail_usage,
    steps_progress,
)
from windlass.cli.context import Master, ProjectArgument, require_spark_engine
from windlass.cli.training_report import TrainingReport
from windlass.core.gates import GateResult
from windlass.core.project_loader import load_project
from windlass.errors import ParameterError, counted
from windlass.settings import Settings
from windlass.workflows.project_lookup import current_user, resolve_folder

if TYPE_CHECKING:
    from windlass.core.project_spec import ProjectSpec
    from windlass.jobs.job import Job
    from windlass.workflows.execution.project_process import ProjectProcess


@contextmanager
def cancel_on_signal(cancelling: threading.Event) -> Iterator[None]:
    """Sets `cancelling` on SIGINT and SIGTERM; a second signal leaves the job to the next worker."""

    def cancel(*_: object) -> None:
        if cancelling.is_set():
            raise KeyboardInterrupt
        cancelling.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, cancel) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def import_job_modules() -> None:
    """Imports what runs jobs, while another process loads the project: DBOS alone takes a third of a second."""
    for name in ("foreground", "durable"):
        import_module(f"windlass.workflows.execution.{name}")


def print_job_line(line: str) -> None:
    """Writes a line that the project's code printed to stderr."""
    sys.stderr.write(f"{line}\n")


@dataclass(frozen=True)
class PipelineFlags:
    """Flags of a pipeline. `build` holds the given options of the feature build."""

    folder: Path
    data: Path | None
    build: dict[str, Any]
    model: str | None
    track: bool

    def request(self, declaration: "ProjectSpec") -> dict[str, Any]:
        """Returns the job's request. Raises ParameterError for build options of a project without a view."""
        from windlass.training.plan import TrainingRequest

        file = None if self.data is None else str(self.data.resolve())
        if declaration.view is None and self.build:
            raise ParameterError(
                f"Project {declaration.name} declares no feature view, so there is nothing to build or to append to."
                " Leave these options out, or declare a view."
            )
        data = self.data if declaration.view is None else None
        training = TrainingRequest(Path(), self.model, data=data, track=self.track)
        request = training.job_request(self.folder)
        del request["snapshot"]  # it trains on the snapshot that it builds
        return {
            **request,
            "build": {"file": file, **self.build},
            "file_as_of": _file_identity(self.data),
        }


def register(app: typer.Typer) -> None:
    """Adds `pipeline` to the application."""
    add_command(app, "pipeline", pipeline)


def pipeline(  # noqa: PLR0913, PLR0917 - each is an option of the command
    project: ProjectArgument = Path(),
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Raw events; without it the project generates them."),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add the events of --data to the current snapshot.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Engine that computes the features: duckdb or spark.",
            show_default="duckdb",
        ),
    ] = None,
    master: Master = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory limit of the build.", show_default="2GB"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Candidate to train.", show_default="the first"),
    ] = None,
    no_track: Annotated[
        bool, typer.Option("--no-track", help="Do not record the run in MLflow.")
    ] = False,
    json: Json = False,
) -> int:
    """Build and materialise features, train a model on them, and evaluate the gates.

    Every finished step is stored. After a crash the same command continues from there.
    """
    if append and data is None:
        fail_usage("Name the new events to append: --append --data FILE.")
    require_spark_engine(engine, master)
    given = {"append": append or None, "engine": engine, "master": master, "memory": memory}
    build = {name: value for name, value in given.items() if value is not None}
    settings = Settings.read(near=[project])
    flags = PipelineFlags(resolve_folder(project, settings), data, build, model, not no_track)
    if not (flags.folder / "project.py").is_file():
        load_project(flags.folder)  # raises ProjectError, which says what is missing
    from windlass.workflows.execution.project_process import ProjectProcess

    with ProjectProcess(flags.folder, print_job_line) as process:
        import_job_modules()
        return _run_job(flags, process, settings, json=json)


def _run_job(
    flags: PipelineFlags, process: "ProjectProcess", settings: Settings, *, json: bool
) -> int:
    from windlass.jobs.queue import JobRequest
    from windlass.workflows.execution.foreground import ForegroundJob
    from windlass.workflows.pipeline_job import STEPS

    declaration = process.read_spec()
    request = flags.request(declaration)
    process.check_request(request)
    with ExitStack() as stack:
        foreground = stack.enter_context(ForegroundJob(settings, process, print_job_line))
        with steps_progress(STEPS, quiet=json) as report, cancel_on_signal(foreground.cancelling):
            order = JobRequest(declaration.name, "pipeline", request, current_user())
            job = foreground.run(order, report, resume=True)
        if job.result is None:
            raise KeyboardInterrupt
        training_report = TrainingReport.from_job(job, foreground.bundle(job), None)
    return _print_result(job, training_report, json=json)


def _print_result(job: "Job", report: TrainingReport, *, json: bool) -> int:
    assert job.result is not None
    features = job.result.get("features")
    if json:
        echo_json({**asdict(report), "features": features})
    else:
        if features is not None:
            echo_facts(_facts(features))
        report.print(as_json=False)
    gates = [GateResult(**result) for result in job.result["gates"]]
    failed = [gate.rule for gate in gates if gate.blocks_approval]
    if not failed:
        return DONE
    echo_error(
        f"{job.project} {report.version} did not pass: {'; '.join(failed)}."
        f" Look at it with `windlass show {job.project} {report.version}`; what was in production still is."
    )
    return FAILED


def _facts(features: dict[str, Any]) -> list[tuple[str, str]]:
    quality = features["quality"]
    built = f"{counted(features['events'], 'event')} of {counted(features['entities'], 'entity')}"
    return [
        ("snapshot", f"{features['snapshot']}: {built}, {features['recomputed']:,} computed"),
        (
            "quality",
            f"{quality['quarantined']:,} of {counted(quality['rows'], 'row')} in quarantine",
        ),
        ("online store", f"{counted(features['materialised'], 'entity')} new or newer"),
    ]


def _file_identity(file: Path | None) -> list[int] | None:
    """Returns size and modification time of a file, so that other content under the same name is another request."""
    if file is None or not file.is_file():
        return None
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]
