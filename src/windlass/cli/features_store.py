"""`windlass features materialise | snapshots | prune`: the offline store, and what of it is online."""

from pathlib import Path
from typing import Annotated

import typer

from windlass.cli.console import DONE, guarded, progress, say, say_json, say_table
from windlass.cli.context import opened
from windlass.cli.features_project import declared
from windlass.cli.versions import moment
from windlass.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Project = Annotated[Path, typer.Argument(help="A project: its folder, or its name.")]


def register(group: typer.Typer) -> None:
    """Attach the commands to the group."""

    @group.command("materialise")
    def materialise(
        project: Project = Path(),
        snapshot: Annotated[
            int | None, typer.Option(help="Its number; otherwise the current.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Bring the online store up to a snapshot."""
        raise typer.Exit(guarded(lambda: _materialise(project, snapshot, json=json)))

    @group.command("snapshots")
    def snapshots(project: Project = Path(), json: Json = False) -> None:
        """List a project's snapshots, newest first."""
        raise typer.Exit(guarded(lambda: _snapshots(project, json=json)))

    @group.command("prune")
    def prune(
        project: Project = Path(),
        keep: Annotated[int, typer.Option(min=0, help="How many of the newest to keep.")] = 5,
        json: Json = False,
    ) -> None:
        """Remove old snapshots; never the current one, nor one that a version was trained on."""
        raise typer.Exit(guarded(lambda: _prune(project, keep, json=json)))


def _materialise(place: Path, number: int | None, *, json: bool) -> int:
    from windlass.workflows.features import materialise_features

    settings = Settings.read()
    known = declared(settings, place)
    with progress(quiet=json) as report:
        snapshot, done = materialise_features(settings, known.view, known.name, number, report)
    if json:
        say_json(
            {
                "snapshot": snapshot.number,
                "rows": done.rows,
                "written": done.written,
                "freshness": done.freshness.model_dump(mode="json"),
            }
        )
        return DONE
    say(
        f"Snapshot {snapshot.number} of {known.name}: {done.rows:,} entities read, {done.written:,} written."
        f" The online store holds snapshot {done.freshness.snapshot}, events up to {done.freshness.newest}."
    )
    return DONE


def _snapshots(place: Path, *, json: bool) -> int:
    from windlass.features.offline.store import OfflineStore

    settings = Settings.read()
    found = OfflineStore.of(settings, declared(settings, place).name).snapshots()
    if json:
        say_json(
            [
                {**s.model_dump(mode="json", exclude={"files"}), "folder": str(s.folder)}
                for s in found
            ]
        )
        return DONE
    say_table(
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
                moment(s.created),
                s.parent or "",
                s.view,
                f"{s.events:,}",
                f"{s.entities:,}",
                f"{s.recomputed:,}",
                s.newest or "",
                f"{s.quality['share']:.3%}",
                s.digest[:12],
            )
            for s in found
        ],
    )
    return DONE


def _prune(place: Path, keep: int, *, json: bool) -> int:
    from windlass.features.offline.store import OfflineStore, prune
    from windlass.workflows.features import snapshot_users

    settings = Settings.read()
    name = declared(settings, place).name
    with opened(settings) as registry:
        users = snapshot_users(registry, name)
    store = OfflineStore.of(settings, name)
    gone = prune(store, keep, users.keys())
    if json:
        say_json(gone)
        return DONE
    say(
        f"Removed snapshot{'s' * (len(gone) > 1)} {', '.join(map(str, gone))} of {name}."
        if gone
        else "There was nothing to remove."
    )
    for number in [int(place.name) for place in store.snapshot_folders()][max(keep, 1) :]:
        if number in users:
            say(f"Snapshot {number} stays: needed by {', '.join(users[number])}.")
    return DONE
