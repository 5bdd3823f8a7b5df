"""`windlass features build | check | generate | materialise | snapshots | prune`: raw events to stored features."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from windlass.cli.console import (
    DONE,
    FAILED,
    echo,
    echo_error,
    echo_json,
    echo_table,
    fail_usage,
    progress,
    run_command,
)
from windlass.cli.context import open_registry, require_spark_engine
from windlass.cli.features import entities
from windlass.cli.features.project import require_view, resolve_folder, resolve_view
from windlass.cli.versions import format_time
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.settings import Settings
from windlass.workflows.features import CLIENTS, SEED, generate_events

MEMORY = "2GB"

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Project = Annotated[Path, typer.Argument(help="A project: its folder, or its name.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Raw events, .csv or .parquet; otherwise the project generates some."),
]
Memory = Annotated[str, typer.Option(help="Memory for DuckDB; what needs more goes to disk.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the application."""
    group = typer.Typer(help="Features: build, store, look up, erase.", no_args_is_help=True)
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
            fail_usage(f"{engine!r} is no engine. Use --engine duckdb or --engine spark.")
        require_spark_engine(engine, master)
        if append and data is None:
            fail_usage("Name the new events to append: --append --data FILE.")
        options = {"append": append, "engine": engine, "master": master, "memory": memory}
        raise typer.Exit(run_command(lambda: _build(project, data, options, json=json)))

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
        """Check a raw file against the contract, and build nothing."""
        raise typer.Exit(run_command(lambda: _check(project, file, quarantine, memory, json=json)))

    @group.command("generate")
    def generate(
        project: Project = Path(),
        clients: Annotated[int, typer.Option(min=1, help="How many.")] = CLIENTS,
        seed: Annotated[int, typer.Option(help="The same seed, the same events.")] = SEED,
        out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")] = Path("raw.parquet"),
    ) -> None:
        """Generate raw events by the project's generator, as many as you like."""
        raise typer.Exit(run_command(lambda: _generate(project, clients, seed, out)))

    _register_stored(group)
    entities.register(group)


def _register_stored(group: typer.Typer) -> None:
    """Adds the commands on stored snapshots to the group."""

    @group.command("materialise")
    def materialise(
        project: Project = Path(),
        snapshot: Annotated[
            int | None, typer.Option(help="Its number; otherwise the current.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Bring the online store up to a snapshot."""
        raise typer.Exit(run_command(lambda: _materialise(project, snapshot, json=json)))

    @group.command("snapshots")
    def snapshots(project: Project = Path(), json: Json = False) -> None:
        """List a project's snapshots, newest first."""
        raise typer.Exit(run_command(lambda: _snapshots(project, json=json)))

    @group.command("prune")
    def prune(
        project: Project = Path(),
        keep: Annotated[int, typer.Option(min=0, help="How many of the newest to keep.")] = 5,
        json: Json = False,
    ) -> None:
        """Remove old snapshots; never the current one, nor one that a version was trained on."""
        raise typer.Exit(run_command(lambda: _prune(project, keep, json=json)))


def _build(target: Path, data: Path | None, options: dict[str, Any], *, json: bool) -> int:
    from windlass.workflows.features import build_features

    settings = Settings.read()
    project, source = load_project(resolve_folder(settings, target))
    require_view(project)
    with open_registry(settings, make=True) as registry:
        registry.declare(ProjectSpec.from_project(project, source))
    with TemporaryDirectory() as staging, progress(quiet=json) as report:
        file = None if data is None else str(data)
        task = {"build": {"file": file, **options}, "staging": staging, "home": str(settings.home)}
        result = build_features(project, source, task, report)
    if json:
        echo_json(result)
        return DONE
    echo(
        f"Snapshot {result['snapshot']} of {project.name}: {result['events']:,} events of"
        f" {result['entities']:,} entities, {result['recomputed']:,} of them computed."
    )
    _print_quality(result["quality"])
    echo(f"Next: windlass features materialise {target}")
    return DONE


def _check(target: Path, file: Path, quarantine: Path | None, memory: str, *, json: bool) -> int:
    from windlass.features.ingest.ingest import check_raw_file

    project, _ = load_project(resolve_folder(Settings.read(), target))
    view = require_view(project)
    with progress(quiet=json) as report:
        quality = check_raw_file(view, file, memory, quarantine, report)
    values = quality.to_json(file.name)
    if json:
        echo_json(values)
    else:
        _print_quality(values)
    if quality.share <= view.max_invalid_share:
        return DONE
    echo_error(
        f"More than the {view.max_invalid_share:.2%} that view {view.name} allows: a build would stop."
    )
    return FAILED


def _print_quality(quality: dict[str, Any]) -> None:
    echo(
        f"Quality of {quality['file']}: {quality['passed']:,} of {quality['rows']:,} rows passed,"
        f" {quality['quarantined']:,} are quarantined ({quality['share']:.3%})."
    )
    if quality["erased"]:
        echo(f"{quality['erased']:,} rows of erased entities were left out.")
    kinds = [("quarantined", quality["reasons"]), ("odd, passed", quality["oddities"])]
    rows = [
        (kind, _reason_label(reason, count), f"{count['rows']:,}", f"{count['share']:.3%}")
        for kind, reasons in kinds
        for reason, count in reasons.items()
    ]
    if rows:
        echo_table(("", "reason", "rows", "share"), rows)


def _reason_label(reason: str, count: dict[str, Any]) -> str:
    return f"{reason} ({count['entities']:,} of them)" if "entities" in count else reason


def _generate(target: Path, clients: int, seed: int, out: Path) -> int:
    rows = generate_events(resolve_folder(Settings.read(), target), out, clients, seed)
    echo(f"Wrote {rows:,} events of {clients:,} clients to {out}.")
    return DONE


def _materialise(target: Path, number: int | None, *, json: bool) -> int:
    from windlass.workflows.features import materialise_features

    settings = Settings.read()
    declared = resolve_view(settings, target)
    with progress(quiet=json) as report:
        snapshot, done = materialise_features(
            settings, declared.view, declared.name, number, report
        )
    if json:
        echo_json(
            {
                "snapshot": snapshot.number,
                "rows": done.rows,
                "written": done.written,
                "freshness": done.freshness.model_dump(mode="json"),
            }
        )
        return DONE
    echo(
        f"Snapshot {snapshot.number} of {declared.name}: {done.rows:,} entities read, {done.written:,} written."
        f" The online store holds snapshot {done.freshness.snapshot}, events up to {done.freshness.newest}."
    )
    return DONE


def _snapshots(target: Path, *, json: bool) -> int:
    from windlass.features.offline.store import OfflineStore

    settings = Settings.read()
    stored = OfflineStore.from_settings(settings, resolve_view(settings, target).name).snapshots()
    if json:
        echo_json(
            [
                {**s.model_dump(mode="json", exclude={"files"}), "folder": str(s.folder)}
                for s in stored
            ]
        )
        return DONE
    echo_table(
        (
            "snapshot",
            "built",
            "on",
            "view",
            "events",
            "entities",
            "computed",
            "newest",
            "quarantined",
            "digest",
        ),
        [
            (
                s.number,
                format_time(s.created),
                s.parent or "",
                s.view,
                f"{s.events:,}",
                f"{s.entities:,}",
                f"{s.recomputed:,}",
                s.newest or "",
                f"{s.quality['share']:.3%}",
                s.digest[:12],
            )
            for s in stored
        ],
    )
    return DONE


def _prune(target: Path, keep: int, *, json: bool) -> int:
    from windlass.features.offline.store import OfflineStore, prune
    from windlass.workflows.features import snapshot_users

    settings = Settings.read()
    name = resolve_view(settings, target).name
    with open_registry(settings) as registry:
        users = snapshot_users(registry, name)
    store = OfflineStore.from_settings(settings, name)
    removed = prune(store, keep, users.keys())
    if json:
        echo_json(removed)
        return DONE
    echo(
        f"Removed snapshot{'s' * (len(removed) > 1)} {', '.join(map(str, removed))} of {name}."
        if removed
        else "There was nothing to remove."
    )
    for number in [int(target.name) for target in store.snapshot_folders()][max(keep, 1) :]:
        if number in users:
            echo(f"Snapshot {number} stays: needed by {', '.join(users[number])}.")
    return DONE
