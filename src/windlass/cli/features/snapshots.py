"""`windlass features build | check | generate | materialise | snapshots | prune`: raw events to stored features."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from windlass.cli.console import (
    DONE,
    FAILED,
    Json,
    add_command,
    echo,
    echo_error,
    echo_json,
    echo_table,
    echo_warning,
    fail_usage,
    progress,
)
from windlass.cli.context import Master, ProjectArgument, project_parameter, require_spark_engine
from windlass.cli.features import entities
from windlass.cli.versions import format_time
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import counted
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.store import prune as prune_snapshots
from windlass.settings import Settings
from windlass.workflows.declared_view import require_view, resolve_view
from windlass.workflows.features import (
    ENTITIES,
    SEED,
    build_features,
    generate_events,
    materialise_features,
    snapshot_users,
)
from windlass.workflows.project_lookup import open_registry, resolve_folder

MEMORY = "2GB"

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Raw events, .csv or .parquet; without it the project generates them."
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE", help="Memory limit of DuckDB, such as 2GB; beyond it DuckDB writes to disk."
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the group to the application."""
    group = typer.Typer(help="Build, store, look up and erase features.", no_args_is_help=True)
    app.add_typer(group, name="features")

    for command in (build, check, generate, materialise, snapshots, prune):
        add_command(group, command.__name__, command)
    entities.register(group)


def build(  # noqa: PLR0913, PLR0917 - an argument for each option, as typer wants it
    project: ProjectArgument = Path(),
    data: Data = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add the events of --data to the current snapshot.")
    ] = False,
    engine: Annotated[
        str,
        typer.Option(metavar="ENGINE", help="Engine that computes the features: duckdb or spark."),
    ] = "duckdb",
    master: Master = None,
    memory: Memory = MEMORY,
    json: Json = False,
) -> None:
    """Build a snapshot of features from raw events: check them, compute, store offline."""
    if engine not in ("duckdb", "spark"):
        fail_usage(f"{engine!r} is not an engine. Use --engine duckdb or --engine spark.")
    require_spark_engine(engine, master)
    if append and data is None:
        fail_usage("Name the new events to append: --append --data FILE.")
    options = {"append": append, "engine": engine, "master": master, "memory": memory}
    options["file"] = None if data is None else str(data)
    settings = Settings.read(near=[project])
    declared, source = load_project(resolve_folder(project, settings))
    require_view(declared)
    with open_registry(settings, make=True) as registry:
        registry.declare(ProjectSpec.from_project(declared, source))
    with TemporaryDirectory() as staging, progress(quiet=json) as report:
        task = {"build": options, "staging": staging, "home": str(settings.home)}
        result = build_features(declared, source, task, report)
    if json:
        echo_json(result)
        return
    echo(
        f"Snapshot {result['snapshot']} of {declared.name}: {counted(result['events'], 'event')} of"
        f" {counted(result['entities'], 'entity')}, {result['recomputed']:,} of them computed."
    )
    _print_quality(result["quality"])
    echo(f"Next: windlass features materialise {project}")


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Raw events, .csv or .parquet.")],
    project: Annotated[Path, project_parameter(typer.Option)] = Path(),
    quarantine: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Parquet file for invalid rows; without it they are only counted."
        ),
    ] = None,
    memory: Memory = MEMORY,
    json: Json = False,
) -> int:
    """Check a raw file against the contract, and build nothing."""
    from windlass.features.ingest.ingest import check_raw_file

    declared, _ = load_project(resolve_folder(project, Settings.read(near=[project])))
    view = require_view(declared)
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
        f"Quality of {quality['file']}: {quality['passed']:,} of {counted(quality['rows'], 'row')} passed,"
        f" {quality['quarantined']:,} are quarantined ({quality['share']:.3%})."
    )
    if quality["erased"]:
        echo(f"{counted(quality['erased'], 'row')} of erased entities were left out.")
    kinds = [("quarantined", quality["reasons"]), ("warning", quality["oddities"])]
    rows = [
        (kind, _reason_label(reason, count), f"{count['rows']:,}", f"{count['share']:.3%}")
        for kind, reasons in kinds
        for reason, count in reasons.items()
    ]
    if rows:
        echo_table(("", "reason", "rows", "share"), rows)


def _reason_label(reason: str, count: dict[str, Any]) -> str:
    return f"{reason} ({count['entities']:,} of them)" if "entities" in count else reason


def generate(
    project: ProjectArgument = Path(),
    entities: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of entities with events.")
    ] = ENTITIES,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed: the same seed gives the same events.")
    ] = SEED,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Output file, .csv or .parquet.")
    ] = Path("raw.parquet"),
    clients: Annotated[int | None, typer.Option(hidden=True, min=1)] = None,  # until 0.3
) -> None:
    """Generate raw events with the project's generator."""
    entities = entities if clients is None else clients
    rows = generate_events(
        resolve_folder(project, Settings.read(near=[project])), out, entities, seed
    )
    echo(f"Wrote {counted(rows, 'event')} of {counted(entities, 'entity')} to {out}.")


def materialise(
    project: ProjectArgument = Path(),
    snapshot: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of the snapshot.", show_default="the current one"),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Empty the online store of the project first."),
    ] = False,
    json: Json = False,
) -> None:
    """Copy the features of a snapshot to the online store."""
    settings = Settings.read(near=[project])
    declared = resolve_view(settings, project, echo_warning)
    with progress(quiet=json) as report:
        stored, done = materialise_features(
            settings, declared.view, declared.name, snapshot, report, replace=replace
        )
    freshness = done.freshness
    if json:
        counts = {"snapshot": stored.number, "rows": done.rows, "written": done.written}
        echo_json({**counts, "freshness": freshness.model_dump(mode="json")})
        return
    echo(
        f"Snapshot {stored.number} of {declared.name}: {counted(done.rows, 'entity')} read, {done.written:,} written."
        f" The online store holds snapshot {freshness.snapshot}, events up to {freshness.newest}."
    )


def snapshots(project: ProjectArgument = Path(), json: Json = False) -> None:
    """List a project's snapshots, newest first."""
    settings = Settings.read(near=[project])
    stored = OfflineStore.from_settings(
        settings, resolve_view(settings, project, echo_warning).name
    ).snapshots()
    if json:
        echo_json(
            [
                {**s.model_dump(mode="json", exclude={"files"}), "folder": str(s.folder)}
                for s in stored
            ]
        )
        return
    echo_table(
        ("snapshot", "built", "based on", "view", "events", "entities", "computed", "newest", "quarantined",
         "digest"),
        [
            (s.number, format_time(s.created), s.parent or "", s.view, f"{s.events:,}",
             f"{s.entities:,}", f"{s.recomputed:,}", s.newest or "", f"{s.quality['share']:.3%}",
             s.digest[:12])
            for s in stored
        ],
    )  # fmt: skip


def prune(
    project: ProjectArgument = Path(),
    keep: Annotated[
        int, typer.Option(min=0, metavar="N", help="Number of newest snapshots to keep.")
    ] = 5,
    json: Json = False,
) -> None:
    """Remove old snapshots; never the current one, nor one that a version was trained on."""
    settings = Settings.read(near=[project])
    name = resolve_view(settings, project, echo_warning).name
    with open_registry(settings) as registry:
        users = snapshot_users(registry, name)
    store = OfflineStore.from_settings(settings, name)
    removed = prune_snapshots(store, keep, users.keys())
    if json:
        echo_json(removed)
        return
    if removed:
        numbers = ", ".join(map(str, removed))
        echo(f"Removed snapshot{'s' * (len(removed) > 1)} {numbers} of {name}.")
    else:
        echo("There was nothing to remove.")
    for number in [int(folder.name) for folder in store.snapshot_folders()][max(keep, 1) :]:
        if number in users:
            echo(f"Snapshot {number} stays: needed by {', '.join(users[number])}.")
