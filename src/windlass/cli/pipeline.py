"""`windlass pipeline`: raw events to a candidate that waits for approval, as one durable piece of work."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.cli.console import (
    DONE,
    REFUSED,
    guarded,
    say_error,
    say_facts,
    say_json,
    say_usage,
    steps_progress,
)
from windlass.cli.context import actor, check_master
from windlass.cli.training_report import TrainingReport
from windlass.core.gates import GateResult
from windlass.core.project_loader import load_project
from windlass.errors import ParameterError
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.core.project_spec import ProjectSpec
    from windlass.jobs.job import Job
    from windlass.workflows.execution.project_process import ProjectProcess


@contextmanager
def interrupting(cancelling: threading.Event) -> Iterator[None]:
    """Have Ctrl+C, and a polite stop, cancel what runs; a second one leaves it to the next worker."""

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


def import_what_jobs_need() -> None:
    """Import while the other process reads the project: DBOS alone takes a third of a second."""


def printed(line: str) -> None:
    """Pass on what the project's code printed."""
    sys.stderr.write(f"{line}\n")


@dataclass(frozen=True)
class PipelineFlags:
    """What the command line asks for. `build` holds the options of the build that were given."""

    folder: Path
    data: Path | None
    build: dict[str, Any]
    model: str | None
    track: bool

    def request(self, declaration: "ProjectSpec") -> dict[str, Any]:
        """The request of the job. Raises ParameterError where the project has no use for what was given."""
        from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE

        file = None if self.data is None else str(self.data.resolve())
        if declaration.view is None and self.build:
            raise ParameterError(
                f"Project {declaration.name} declares no feature view, so there is nothing to build or to append to."
                " Leave these options out, or declare a view."
            )
        return {
            "model": self.model,
            "hyperparameters": {},
            "seed": DEFAULT_SEED,
            "test_size": DEFAULT_TEST_SIZE,
            "folder": str(self.folder.resolve()),
            "data": file if declaration.view is None else None,
            "track": self.track,
            "build": {"file": file, **self.build},
            "file_as_of": _as_of(self.data),
        }


def register(app: typer.Typer) -> None:
    """Attach `pipeline` to the application."""

    @app.command("pipeline")
    def pipeline(  # noqa: PLR0913, PLR0917 - each is an option of the command
        project: Annotated[
            Path, typer.Argument(help="The project's folder.", show_default="the current folder")
        ] = Path(),
        data: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Raw events. Otherwise the project makes some up."),
        ] = None,
        append: Annotated[
            bool, typer.Option("--append", help="Add them to what is there: an increment.")
        ] = False,
        engine: Annotated[
            str | None, typer.Option(help="duckdb or spark.", show_default="duckdb")
        ] = None,
        master: Annotated[str | None, typer.Option(help="The Spark cluster's URL.")] = None,
        memory: Annotated[
            str | None, typer.Option(help="That the build may use.", show_default="2GB")
        ] = None,
        model: Annotated[
            str | None, typer.Option(help="Which candidate to train.", show_default="the first")
        ] = None,
        no_track: Annotated[bool, typer.Option("--no-track", help="No run in MLflow.")] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """Build features, show them online, train on them, judge the gates: a candidate, or why there is none.

        Every finished step is kept. The same command, after a crash, goes on from there.
        """
        if append and data is None:
            say_usage("Name the new events to append: --append --data FILE.")
        check_master(engine, master)
        given = {"append": append or None, "engine": engine, "master": master, "memory": memory}
        build = {name: value for name, value in given.items() if value is not None}
        asked = PipelineFlags(project, data, build, model, not no_track)
        raise typer.Exit(guarded(lambda: _pipeline(asked, json=json)))


def _pipeline(asked: PipelineFlags, *, json: bool) -> int:
    if not (asked.folder / "project.py").is_file():
        load_project(asked.folder)  # says what is missing
    from windlass.workflows.execution.project_process import ProjectProcess

    with ProjectProcess(asked.folder, printed) as trainer:
        import_what_jobs_need()
        return _attend(asked, trainer, json=json)


def _attend(asked: PipelineFlags, trainer: "ProjectProcess", *, json: bool) -> int:
    from windlass.jobs.queue import JobRequest
    from windlass.workflows.execution.foreground import ForegroundJob
    from windlass.workflows.pipeline_job import STEPS

    declaration = trainer.declared()
    request = asked.request(declaration)
    trainer.check(request)
    with ExitStack() as stack:
        attended = stack.enter_context(ForegroundJob(Settings.read(), trainer, printed))
        with steps_progress(STEPS, quiet=json) as report, interrupting(attended.cancelling):
            order = JobRequest(declaration.name, "pipeline", request, actor())
            job = attended.carry_out(order, report, go_on=True)
        if job.result is None:
            raise KeyboardInterrupt
        told = TrainingReport.of_job(job, attended.bundle(job), None)
    return _tell(job, told, json=json)


def _tell(job: "Job", report: TrainingReport, *, json: bool) -> int:
    assert job.result is not None
    features = job.result.get("features")
    if json:
        say_json({**asdict(report), "features": features})
    else:
        if features is not None:
            say_facts(_facts(features))
        report.tell(as_json=False)
    missed = [gate for gate in map(_gate, job.result["gates"]) if gate.blocks_approval]
    if not missed:
        return DONE
    say_error(
        f"{job.project} {report.version} did not pass: {'; '.join(gate.rule for gate in missed)}."
        f" Look at it with `windlass show {job.project} {report.version}`; what was in production still is."
    )
    return REFUSED


def _gate(told: dict[str, Any]) -> GateResult:
    return GateResult(**told)


def _facts(features: dict[str, Any]) -> list[tuple[str, str]]:
    quality = features["quality"]
    built = f"{features['events']:,} events of {features['entities']:,} entities"
    return [
        ("snapshot", f"{features['snapshot']}: {built}, {features['recomputed']:,} computed anew"),
        ("quality", f"{quality['quarantined']:,} of {quality['rows']:,} rows in quarantine"),
        ("online store", f"{features['materialised']:,} entities new or newer"),
    ]


def _as_of(file: Path | None) -> list[int] | None:
    """Size and time of a file: another content under the same name is another request."""
    if file is None or not file.is_file():
        return None
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]
