"""`windlass features get | erase`: what is known of an entity now, and having it forgotten."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.cli.console import (
    DONE,
    REFUSED,
    guarded,
    say,
    say_error,
    say_json,
    say_table,
    say_usage,
)
from windlass.cli.features_project import DeclaredView, declared
from windlass.errors import FeatureError
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.features.offline.erasure import ErasureReport
    from windlass.features.online.reader import Features

_ID = re.compile(r"-?[0-9]+")


def register(group: typer.Typer) -> None:
    """Attach the commands to the group."""

    @group.command("get", context_settings={"ignore_unknown_options": True})
    def get(
        which: Annotated[list[str], typer.Argument(metavar="[PROJECT] ID…")],
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """The features of entities, as they are now."""
        place, ids = _split(which, usage="windlass features get [PROJECT] ID…")
        raise typer.Exit(guarded(lambda: _get(place, ids, json=json)))

    @group.command("erase", context_settings={"ignore_unknown_options": True})
    def erase(
        which: Annotated[list[str], typer.Argument(metavar="[PROJECT] ID")],
        undo: Annotated[
            bool, typer.Option("--undo", help="Let builds hold it again; brings nothing back.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    ) -> None:
        """Erase an entity from every snapshot, from quarantine and from the online store, for good."""
        usage = "windlass features erase [PROJECT] ID [--undo]"
        place, ids = _split(which, usage=usage)
        if len(ids) > 1:
            say_usage(f"One at a time. Use: {usage}")
        work = _undo if undo else _erase
        raise typer.Exit(guarded(lambda: work(place, ids[0], json=json)))


def _split(arguments: Sequence[str], *, usage: str) -> tuple[Path, list[int]]:
    """The project among the arguments, the current folder where none is, and the whole numbers."""
    ids = [int(one) for one in arguments if _ID.fullmatch(one)]
    places = [one for one in arguments if not _ID.fullmatch(one)]
    if len(places) > 1 or not ids:
        say_usage(f"Name one project, and whole numbers. Use: {usage}")
    return Path(places[0] if places else "."), ids


def _get(place: Path, ids: Sequence[int], *, json: bool) -> int:
    from windlass.features.online.reader import FeatureReader
    from windlass.features.online.store import online_store

    settings = Settings.read()
    known = declared(settings, place)
    store = online_store(settings, known.view, known.name)
    try:
        answers = FeatureReader(known.view, store).get_many(ids)
        if not any(answers) and store.freshness() is None:
            raise FeatureError(
                f"No features of {known.name} are materialised yet. Run `windlass features build {known.name}`, then"
                f" `windlass features materialise {known.name}`."
            )
    finally:
        store.close()
    found = [_told(known, answer) for answer in answers if answer is not None]
    if json:
        say_json(found)
    elif found:
        _tell(known, found)
    unknown = [str(one) for one, answer in zip(ids, answers, strict=True) if answer is None]
    if not unknown:
        return DONE
    say_error(
        f"The online store of {known.name} knows no {known.view.entity} {', '.join(unknown)}."
        " Bring it up to date with `windlass features materialise`, or look the number up."
    )
    return REFUSED


def _told(known: DeclaredView, features: "Features") -> dict[str, Any]:
    computed = datetime.fromtimestamp(int(features.computed_at), UTC)
    return {
        known.view.entity: features.entity,
        "features": features.values,
        "as_of": features.as_of.isoformat(),
        "computed_at": f"{computed:%Y-%m-%dT%H:%M:%SZ}",
        "stale": features.stale,
        "view": known.view.name,
        "view_version": features.view,
    }


def _tell(known: DeclaredView, found: Sequence[dict[str, Any]]) -> None:
    names = known.view.features
    entity, last = known.view.entity, ("as_of", "computed_at", "stale")
    say_table(
        (entity, *names, *last),
        [
            (
                one[entity],
                *(_cell(one["features"][name]) for name in names),
                *(one[n] for n in last),
            )
            for one in found
        ],
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "" if value is None else str(value)


def _erase(place: Path, entity: int, *, json: bool) -> int:
    from windlass.features.offline.erasure import erase
    from windlass.features.offline.store import OfflineStore
    from windlass.features.online.store import online_store

    settings = Settings.read()
    known = declared(settings, place)
    erased = erase(OfflineStore.of(settings, known.name), entity)
    store = online_store(settings, known.view, known.name)
    try:
        online = store.erase(entity)
    finally:
        store.close()
    if json:
        say_json(
            {
                known.view.entity: entity,
                "snapshots": {str(number): rows for number, rows in erased.snapshots.items()},
                "quarantined": erased.quarantined,
                "online": online,
                "unreadable": [str(place) for place in erased.unreadable],
            }
        )
    else:
        _tell_erased(f"{known.view.entity} {entity}", known.name, erased, online=online)
    if not erased.unreadable:
        return DONE
    places = ", ".join(map(str, erased.unreadable))
    say_error(
        f"It may still be in {places}, which cannot be read. Remove it, or restore it and erase again."
    )
    return REFUSED


def _tell_erased(who: str, project: str, erased: "ErasureReport", *, online: bool) -> None:
    for number, rows in erased.snapshots.items():
        say(f"Erased {who} from snapshot {number} of {project}: {rows:,} events.")
    if erased.quarantined:
        say(f"Erased {erased.quarantined:,} quarantined rows.")
    if online:
        say("Erasure from the online store.")
    if not erased.found_any and not online:
        say(f"Nothing was known of {who}. If that was no id of yours, run this again with --undo.")
    say("No later build brings it back.")


def _undo(place: Path, entity: int, *, json: bool) -> int:
    from windlass.features.offline.erasure import undo_erasure
    from windlass.features.offline.store import OfflineStore

    settings = Settings.read()
    known = declared(settings, place)
    undone = undo_erasure(OfflineStore.of(settings, known.name), entity)
    if not undone:
        say_error(
            f"{known.view.entity} {entity} was not erased from {known.name}: there is nothing to undo."
            " Look the number up."
        )
        return REFUSED
    if json:
        say_json({known.view.entity: entity, "undone": True})
        return DONE
    say(
        f"Builds of {known.name} may hold {known.view.entity} {entity} again. What was erased is not back: only a"
        " build from all raw events brings it, `windlass features build --data FILE` without --append."
    )
    return DONE
