"""`windlass approve | reject | rollback | decisions`: who moved which version, when and why."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.cli.console import DONE, REFUSED, guarded, say, say_error, say_json, say_table
from windlass.cli.context import Key, chosen, decider, opened, project_of, split_arguments
from windlass.cli.versions import Json, Which, moment
from windlass.registry.version import Stage
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.registry.decisions import Decision
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version


def _asked(given: str | None) -> str:
    """The reason: on a terminal it is asked for where it was left out, elsewhere it must be given."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise typer.BadParameter("Every decision needs a reason.")
    answer: str = typer.prompt("Why", err=True)
    return answer


def _reason(help_: str) -> Any:
    told = f"{help_} Needed; asked for on a terminal."
    return typer.Option("--reason", "-m", help=told, callback=_asked, show_default=False)


def register(app: typer.Typer) -> None:
    """Attach the commands to the application."""

    @app.command("approve")
    def approve(
        reason: Annotated[str | None, _reason("Why.")] = None,
        which: Which = None,
        key: Key = None,
        json: Json = False,
    ) -> None:
        """Put a candidate in production: the newest, where none is named."""
        place, names = split_arguments(which, most=1, usage="windlass approve [PROJECT] [VERSION]")
        raise typer.Exit(guarded(lambda: _approve(place, names, str(reason), key, json=json)))

    @app.command("reject")
    def reject(
        reason: Annotated[str | None, _reason("Why not.")] = None,
        which: Which = None,
        key: Key = None,
        json: Json = False,
    ) -> None:
        """Reject a candidate: the newest, where none is named."""
        place, names = split_arguments(which, most=1, usage="windlass reject [PROJECT] [VERSION]")
        raise typer.Exit(guarded(lambda: _reject(place, names, str(reason), key, json=json)))

    @app.command("rollback")
    def rollback(
        reason: Annotated[str | None, _reason("Why back.")] = None,
        which: Which = None,
        key: Key = None,
        json: Json = False,
    ) -> None:
        """Return to the version that was in production before, or to the one named."""
        place, names = split_arguments(which, most=1, usage="windlass rollback [PROJECT] [VERSION]")
        raise typer.Exit(guarded(lambda: _rollback(place, names, str(reason), key, json=json)))

    @app.command("decisions")
    def decisions(
        project: Annotated[
            Path | None, typer.Argument(help="A project; otherwise all of them.")
        ] = None,
        verify: Annotated[
            bool,
            typer.Option("--verify", help="Check the chain: a changed or missing one is told."),
        ] = False,
        json: Json = False,
    ) -> None:
        """List decisions, oldest first."""
        raise typer.Exit(guarded(lambda: _decisions(project, verify=verify, json=json)))


def _approve(place: Path, names: list[str], reason: str, key: str | None, *, json: bool) -> int:
    settings = Settings.read()
    with opened(settings) as registry:
        who = decider(registry, settings.key if key is None else key)
        project, version = _candidate(registry, place, names)
        decision = registry.approve(project, version.name, actor=who, reason=reason)
    return _tell(decision, "is in production", json=json)


def _reject(place: Path, names: list[str], reason: str, key: str | None, *, json: bool) -> int:
    settings = Settings.read()
    with opened(settings) as registry:
        who = decider(registry, settings.key if key is None else key)
        project, version = _candidate(registry, place, names)
        decision = registry.reject(project, version.name, actor=who, reason=reason)
    return _tell(decision, "is rejected", json=json)


def _candidate(registry: "Registry", place: Path, names: list[str]) -> "tuple[str, Version]":
    """The project meant, and the version named, or its newest candidate."""
    project = project_of(registry, place)
    return project, chosen(
        registry, project, names, lambda one: one.stage is Stage.CANDIDATE, "candidate"
    )


def _rollback(place: Path, names: list[str], reason: str, key: str | None, *, json: bool) -> int:
    settings = Settings.read()
    with opened(settings) as registry:
        who = decider(registry, settings.key if key is None else key)
        project = project_of(registry, place)
        to = names[0] if names else None
        decision = registry.rollback(project, to, actor=who, reason=reason)
    return _tell(decision, "is in production again", json=json)


def _tell(decision: "Decision", outcome: str, *, json: bool) -> int:
    if json:
        say_json(decision.json())
    else:
        say(f"{decision.project} {decision.version} {outcome} (decision {decision.sequence}).")
    return DONE


def _decisions(place: Path | None, *, verify: bool, json: bool) -> int:
    with opened() as registry:
        project = None if place is None else project_of(registry, place)
        found = registry.decisions(project)
        faults = registry.check(project) if verify else []
    if json:
        listed = [decision.json() for decision in found]
        say_json(
            {"decisions": listed, "verified": not faults, "faults": faults} if verify else listed
        )
    else:
        say_table(
            ("project", "no.", "when", "who", "action", "version", "digest", "why"),
            [
                (d.project, d.sequence, moment(d.decided_at), d.actor, d.action.value, d.version,
                 d.digest[:12], d.reason)
                for d in found
            ],
        )  # fmt: skip
        if verify and not faults:
            count = f"{len(found)} decision{'s' * (len(found) != 1)}"
            say(f"Verified: {count}, each as it was made; the stages follow from them.")
    for fault in faults:
        say_error(fault)
    return REFUSED if faults else DONE
