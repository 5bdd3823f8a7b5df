"""`windlass features build | check | generate`: raw events to features."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from windlass.cli import features_entities, features_store
from windlass.cli.console import (
    DONE,
    REFUSED,
    guarded,
    progress,
    say,
    say_error,
    say_json,
    say_table,
    say_usage,
)
from windlass.cli.context import check_master, opened
from windlass.cli.features_project import folder_of, with_view
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.settings import Settings
from windlass.workflows.features import CLIENTS, SEED, generate_events

MEMORY = "2GB"

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Project = Annotated[Path, typer.Argument(help="A project: its folder, or its name.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Raw events, .csv or .parquet; otherwise what the project makes up."),
]
Memory = Annotated[str, typer.Option(help="Memory for DuckDB; what needs more goes to disk.")]


def register(app: typer.Typer) -> None:
    """Attach the group to the application."""
    group = typer.Typer(help="Features: built, stored, looked up, erased.", no_args_is_help=True)
    app.add_typer(group, name="features")

    @group.command("build")
    def build(  # noqa: PLR0913, PLR0917 - an argument for each option, as typer wants it
        project: Project = Path(),
        data: Data = None,
        append: Annotated[
            bool, typer.Option("--append", help="Add to the current snapshot.")
        ] = False,
        engine: Annotated[str, typer.Option(help="What computes: duckdb or spark.")] = "duckdb",
        master: Annotated[str | None, typer.Option(help="Spark's master: spark://…")] = None,
        memory: Memory = MEMORY,
        json: Json = False,
    ) -> None:
        """Build a snapshot: raw events through quality into the offline store."""
        if engine not in ("duckdb", "spark"):
            say_usage(f"{engine!r} is no engine. Use --engine duckdb or --engine spark.")
        check_master(engine, master)
        if append and data is None:
            say_usage("Name the new events to append: --append --data FILE.")
        asked = {"append": append, "engine": engine, "master": master, "memory": memory}
        raise typer.Exit(guarded(lambda: _build(project, data, asked, json=json)))

    @group.command("check")
    def check(
        file: Annotated[Path, typer.Argument(help="Raw events, .csv or .parquet.")],
        project: Annotated[Path, typer.Option(help="A project: its folder, or its name.")] = Path(),
        quarantine: Annotated[
            Path | None, typer.Option(help="Where bad rows go, as Parquet; otherwise nowhere.")
        ] = None,
        memory: Memory = MEMORY,
        json: Json = False,
    ) -> None:
        """Hold a raw file against the contract, and build nothing."""
        raise typer.Exit(guarded(lambda: _check(project, file, quarantine, memory, json=json)))

    @group.command("generate")
    def make_up(
        project: Project = Path(),
        clients: Annotated[int, typer.Option(min=1, help="How many.")] = CLIENTS,
        seed: Annotated[int, typer.Option(help="The same seed, the same events.")] = SEED,
        out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")] = Path("raw.parquet"),
    ) -> None:
        """Have the project make raw events up, as many as you like."""
        raise typer.Exit(guarded(lambda: _generate(project, clients, seed, out)))

    features_store.register(group)
    features_entities.register(group)


def _build(place: Path, data: Path | None, asked: dict[str, Any], *, json: bool) -> int:
    from windlass.workflows.features import build_features

    settings = Settings.read()
    project, source = load_project(folder_of(settings, place))
    with_view(project)
    with opened(settings, make=True) as registry:
        registry.declare(ProjectSpec.from_project(project, source))
    with TemporaryDirectory() as staging, progress(quiet=json) as report:
        file = None if data is None else str(data)
        task = {"build": {"file": file, **asked}, "staging": staging, "home": str(settings.home)}
        built = build_features(project, source, task, report)
    if json:
        say_json(built)
        return DONE
    say(
        f"Snapshot {built['snapshot']} of {project.name}: {built['events']:,} events of {built['entities']:,} entities,"
        f" {built['recomputed']:,} of them computed."
    )
    _tell_quality(built["quality"])
    say(f"Next: windlass features materialise {place}")
    return DONE


def _check(place: Path, file: Path, kept: Path | None, memory: str, *, json: bool) -> int:
    from windlass.features.ingest.ingest import check_raw_file

    project, _ = load_project(folder_of(Settings.read(), place))
    view = with_view(project)
    with progress(quiet=json) as report:
        found = check_raw_file(view, file, memory, kept, report)
    told = found.json(file.name)
    if json:
        say_json(told)
    else:
        _tell_quality(told)
    if found.share <= view.max_invalid_share:
        return DONE
    say_error(
        f"More than the {view.max_invalid_share:.2%} that view {view.name} allows: a build would stop."
    )
    return REFUSED


def _tell_quality(quality: dict[str, Any]) -> None:
    say(
        f"Quality of {quality['file']}: {quality['passed']:,} of {quality['rows']:,} rows passed,"
        f" {quality['quarantined']:,} are quarantined ({quality['share']:.3%})."
    )
    if quality["erased"]:
        say(f"{quality['erased']:,} rows of erased entities were left out.")
    found = [("quarantined", quality["reasons"]), ("odd, passed", quality["oddities"])]
    rows = [
        (what, _of_entities(reason, count), f"{count['rows']:,}", f"{count['share']:.3%}")
        for what, reasons in found
        for reason, count in reasons.items()
    ]
    if rows:
        say_table(("", "reason", "rows", "share"), rows)


def _of_entities(reason: str, count: dict[str, Any]) -> str:
    return f"{reason} ({count['entities']:,} of them)" if "entities" in count else reason


def _generate(place: Path, clients: int, seed: int, out: Path) -> int:
    rows = generate_events(folder_of(Settings.read(), place), out, clients, seed)
    say(f"Wrote {rows:,} events of {clients:,} clients to {out}.")
    return DONE
