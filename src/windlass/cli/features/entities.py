"""`windlass features get | erase`: what is known of an entity now, and having it forgotten."""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
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
from windlass.core.entity_ids import EntityId, EntityIds, IdType
from windlass.core.feature_view import ServedEvent
from windlass.core.on_demand import format_time
from windlass.errors import ProjectError, counted
from windlass.features.offline.store import OfflineStore
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings
from windlass.workflows.declared_view import DeclaredView, resolve_view
from windlass.workflows.features import read_features

if TYPE_CHECKING:
    from windlass.features.offline.erasure import ErasureReport
    from windlass.features.online.reader import Features

_INTEGER = re.compile(r"-?[0-9]+")


def register(group: typer.Typer) -> None:
    """Adds the commands to the group."""
    settings = {"ignore_unknown_options": True}  # a negative id looks like one
    add_command(group, "get", get_features, context_settings=settings)
    add_command(group, "erase", erase_entity, context_settings=settings)


@dataclass(frozen=True)
class _Arguments:
    """Project among the arguments of a command, with its view and settings, and the ids as texts."""

    settings: Settings
    declared: DeclaredView
    texts: list[str]

    @staticmethod
    def of_project(target: Path, texts: Sequence[str]) -> "_Arguments":
        """Finds the project. Raises ProjectError, FeatureError or StorageError."""
        settings = Settings.read(near=[target])
        return _Arguments(settings, resolve_view(settings, target, echo_warning), list(texts))

    def open_online(self) -> OnlineStore:
        """Opens the online store of the project."""
        return online_store(self.settings, self.declared.view, self.declared.name)

    @property
    def offline(self) -> OfflineStore:
        """The offline store of the project."""
        return OfflineStore.from_settings(self.settings, self.declared.name)

    def ids(self, types: EntityIds | None) -> list[EntityId]:
        """Returns the ids; those of several columns are written with commas, as in a URL. Raises IdError.

        Where the types are not known, as nothing was stored yet, whole numbers are integers.
        """
        columns = self.declared.view.entity_columns
        if types is None:
            guessed = tuple[IdType, ...](
                "integer" if _INTEGER.fullmatch(text) else "text"
                for text in self.texts[0].split(",")[: len(columns)]
            )
            types = EntityIds(columns, guessed)
        if len(columns) > 1:
            return [types.parse_segment(text) for text in self.texts]
        return [types.parse([text]) for text in self.texts]


def _split(arguments: Sequence[str], *, usage: str) -> _Arguments:
    """Returns the project, the first argument if that names one (by default the current folder), and the ids."""
    first, *rest = arguments
    is_folder = Path(first, "project.py").is_file()
    if is_folder and not rest:
        fail_usage(f"Name the id of an entity. Use: {usage}")
    if rest and not _INTEGER.fullmatch(first):
        try:
            return _Arguments.of_project(Path(first), rest)
        except ProjectError:
            if is_folder or "/" in first or not Path("project.py").is_file():
                raise
    return _Arguments.of_project(Path(), arguments)


def get_features(
    which: Annotated[
        list[str],
        typer.Argument(
            metavar="[PROJECT] ID…",
            help="Ids of entities, after their project. Ids of several columns: a,b (a comma is %2C).",
        ),
    ],
    at: Annotated[
        ServedEvent | None,
        typer.Option(help="The event that they are for. Default: what the view serves."),
    ] = None,
    json: Json = False,
) -> int:
    """Show the features of entities in the online store."""
    arguments = _split(which, usage="windlass features get [PROJECT] ID…")
    declared = arguments.declared
    with closing(arguments.open_online()) as store:
        ids = arguments.ids(store.entity_ids())
    answers = read_features(arguments.settings, declared, ids, at)
    values = [_features_json(declared, answer) for answer in answers if answer is not None]
    if json:
        echo_json(values)
    elif values:
        _print_features(declared, values)
    unknown = [
        text for text, answer in zip(arguments.texts, answers, strict=True) if answer is None
    ]
    if not unknown:
        return DONE
    echo_error(
        f"The online store of {declared.name} knows no {_entity_name(declared)} {', '.join(unknown)}."
        " Bring it up to date with `windlass features materialise`, or look the id up."
    )
    return FAILED


def _features_json(declared: DeclaredView, features: "Features") -> dict[str, Any]:
    computed = datetime.fromtimestamp(int(features.computed_at), UTC)
    return {
        **_id_fields(declared, features.entity),
        "features": {name: _json_value(value) for name, value in features.values.items()},
        "as_of": format_time(features.as_of),
        "computed_at": f"{computed:%Y-%m-%dT%H:%M:%SZ}",
        "stale": features.stale,
        "view": declared.view.name,
        "view_version": features.view,
    }


def _json_value(value: Any) -> Any:
    return format_time(value) if isinstance(value, date) else value


def _entity_name(declared: DeclaredView) -> str:
    return ",".join(declared.view.entity_columns)


def _id_fields(declared: DeclaredView, entity: EntityId) -> dict[str, int | str]:
    values = entity if isinstance(entity, tuple) else (entity,)
    return dict(zip(declared.view.entity_columns, values, strict=True))


def _print_features(declared: DeclaredView, entities: Sequence[dict[str, Any]]) -> None:
    names = declared.view.features
    columns, last = declared.view.entity_columns, ("as_of", "computed_at", "stale")
    echo_table(
        (*columns, *names, *last),
        [
            (
                *(values[column] for column in columns),
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
    arguments = _split(which, usage=usage)
    if len(arguments.texts) > 1:
        fail_usage(f"One at a time, and the project before it. Use: {usage}")
    with closing(arguments.open_online()) as store:
        (entity,) = arguments.ids(arguments.offline.current_entity_ids() or store.entity_ids())
    work = _undo if undo else _erase
    return work(arguments, entity, json=json)


def _erase(arguments: _Arguments, entity: EntityId, *, json: bool) -> int:
    from windlass.features.offline.erasure import erase

    declared = arguments.declared
    erased = erase(arguments.offline, entity)
    with closing(arguments.open_online()) as store:
        online = store.erase(entity)
    if json:
        echo_json(
            {
                **_id_fields(declared, entity),
                "snapshots": {str(number): rows for number, rows in erased.snapshots.items()},
                "quarantined": erased.quarantined,
                "online": online,
                "unreadable": [str(target) for target in erased.unreadable],
            }
        )
    else:
        _print_erasure(_describe(declared, entity), declared.name, erased, online=online)
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


def _describe(declared: DeclaredView, entity: EntityId) -> str:
    return ", ".join(f"{name} {value}" for name, value in _id_fields(declared, entity).items())


def _undo(arguments: _Arguments, entity: EntityId, *, json: bool) -> int:
    from windlass.features.offline.erasure import undo_erasure

    declared = arguments.declared
    was_undone = undo_erasure(arguments.offline, entity)
    if not was_undone:
        echo_error(
            f"{_describe(declared, entity)} was not erased from {declared.name}: there is nothing to undo."
            " Look the id up."
        )
        return FAILED
    if json:
        echo_json({**_id_fields(declared, entity), "undone": True})
        return DONE
    echo(
        f"Builds of {declared.name} may hold {_describe(declared, entity)} again. What was erased is not back: only a"
        " build from all raw events brings it, `windlass features build --data FILE` without --append."
    )
    return DONE
