"""`windlass features get | erase`: what is known of an entity now, and having it forgotten."""

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)
from windlass.core.feature_view import ServedEvent
from windlass.errors import counted
from windlass.features.offline.store import OfflineStore
from windlass.features.online.store import online_store
from windlass.settings import Settings
from windlass.workflows.declared_view import DeclaredView, resolve_view
from windlass.workflows.features import read_features

if TYPE_CHECKING:
    from windlass.features.offline.erasure import ErasureReport
    from windlass.features.online.reader import Features

_ID = re.compile(r"-?[0-9]+")


def register(group: typer.Typer) -> None:
    """Adds the commands to the group."""
    settings = {"ignore_unknown_options": True}  # a negative id looks like one
    add_command(group, "get", get_features, context_settings=settings)
    add_command(group, "erase", erase_entity, context_settings=settings)


def _split(arguments: Sequence[str], *, usage: str) -> tuple[Path, list[int]]:
    """Returns the project among the arguments (by default the current folder) and the whole numbers."""
    ids = [int(argument) for argument in arguments if _ID.fullmatch(argument)]
    targets = [argument for argument in arguments if not _ID.fullmatch(argument)]
    if len(targets) > 1 or not ids:
        fail_usage(f"Name one project, and whole numbers. Use: {usage}")
    return Path(targets[0] if targets else "."), ids


def get_features(
    which: Annotated[
        list[str],
        typer.Argument(metavar="[PROJECT] ID…", help="Ids of entities, and their project."),
    ],
    at: Annotated[
        ServedEvent | None,
        typer.Option(help="The event that they are for. Default: what the view serves."),
    ] = None,
    json: Json = False,
) -> int:
    """Show the features of entities in the online store."""
    target, ids = _split(which, usage="windlass features get [PROJECT] ID…")
    settings = Settings.read(near=[target])
    declared = resolve_view(settings, target, echo_warning)
    answers = read_features(settings, declared, ids, at)
    values = [_features_json(declared, answer) for answer in answers if answer is not None]
    if json:
        echo_json(values)
    elif values:
        _print_features(declared, values)
    unknown = [str(id_) for id_, answer in zip(ids, answers, strict=True) if answer is None]
    if not unknown:
        return DONE
    echo_error(
        f"The online store of {declared.name} knows no {declared.view.entity} {', '.join(unknown)}."
        " Bring it up to date with `windlass features materialise`, or look the number up."
    )
    return FAILED


def _features_json(declared: DeclaredView, features: "Features") -> dict[str, Any]:
    computed = datetime.fromtimestamp(int(features.computed_at), UTC)
    return {
        declared.view.entity: features.entity,
        "features": features.values,
        "as_of": features.as_of.isoformat(),
        "computed_at": f"{computed:%Y-%m-%dT%H:%M:%SZ}",
        "stale": features.stale,
        "view": declared.view.name,
        "view_version": features.view,
    }


def _print_features(declared: DeclaredView, entities: Sequence[dict[str, Any]]) -> None:
    names = declared.view.features
    entity, last = declared.view.entity, ("as_of", "computed_at", "stale")
    echo_table(
        (entity, *names, *last),
        [
            (
                values[entity],
                *(_cell(values["features"][name]) for name in names),
                *(values[column] for column in last),
            )
            for values in entities
        ],
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "" if value is None else str(value)


def erase_entity(
    which: Annotated[
        list[str], typer.Argument(metavar="[PROJECT] ID", help="Id of the entity, and its project.")
    ],
    undo: Annotated[
        bool, typer.Option("--undo", help="Allow the entity in builds again; restores no data.")
    ] = False,
    json: Json = False,
) -> int:
    """Erase an entity from every snapshot, from quarantine and from the online store, for good."""
    usage = "windlass features erase [PROJECT] ID [--undo]"
    target, ids = _split(which, usage=usage)
    if len(ids) > 1:
        fail_usage(f"One at a time. Use: {usage}")
    work = _undo if undo else _erase
    return work(target, ids[0], json=json)


def _erase(target: Path, entity: int, *, json: bool) -> int:
    from windlass.features.offline.erasure import erase

    settings = Settings.read(near=[target])
    declared = resolve_view(settings, target, echo_warning)
    erased = erase(OfflineStore.from_settings(settings, declared.name), entity)
    with closing(online_store(settings, declared.view, declared.name)) as store:
        online = store.erase(entity)
    if json:
        echo_json(
            {
                declared.view.entity: entity,
                "snapshots": {str(number): rows for number, rows in erased.snapshots.items()},
                "quarantined": erased.quarantined,
                "online": online,
                "unreadable": [str(target) for target in erased.unreadable],
            }
        )
    else:
        _print_erasure(f"{declared.view.entity} {entity}", declared.name, erased, online=online)
    if not erased.unreadable:
        return DONE
    unreadable = ", ".join(map(str, erased.unreadable))
    echo_error(
        f"It may still be in {unreadable}, which cannot be read. Remove it, or restore it and erase again."
    )
    return FAILED


def _print_erasure(who: str, project: str, erased: "ErasureReport", *, online: bool) -> None:
    for number, rows in erased.snapshots.items():
        echo(f"Erased {who} from snapshot {number} of {project}: {counted(rows, 'event')}.")
    if erased.quarantined:
        echo(f"Erased {counted(erased.quarantined, 'quarantined row')}.")
    if online:
        echo("Erased from the online store.")
    if not erased.found_any and not online:
        echo(
            f"Nothing was stored about {who}. If the id was a mistake, run this again with --undo."
        )
    echo("Later builds leave it out too.")


def _undo(target: Path, entity: int, *, json: bool) -> int:
    from windlass.features.offline.erasure import undo_erasure

    settings = Settings.read(near=[target])
    declared = resolve_view(settings, target, echo_warning)
    was_undone = undo_erasure(OfflineStore.from_settings(settings, declared.name), entity)
    if not was_undone:
        echo_error(
            f"{declared.view.entity} {entity} was not erased from {declared.name}: there is nothing to undo."
            " Look the number up."
        )
        return FAILED
    if json:
        echo_json({declared.view.entity: entity, "undone": True})
        return DONE
    echo(
        f"Builds of {declared.name} may hold {declared.view.entity} {entity} again. What was erased is not back: only a"
        " build from all raw events brings it, `windlass features build --data FILE` without --append."
    )
    return DONE
