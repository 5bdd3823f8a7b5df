"""`windlass approve | reject | rollback | decisions`: makes decisions about versions, lists and verifies them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
)
from windlass.cli.context import Key, select_version, split_arguments, version_argument
from windlass.cli.versions import format_time
from windlass.registry.version import Stage
from windlass.settings import Settings
from windlass.workflows.project_lookup import decision_actor, open_registry, resolve_project

if TYPE_CHECKING:
    from windlass.registry.decisions import Decision
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version

Candidate = Annotated[list[str] | None, version_argument("the newest candidate")]
Predecessor = Annotated[list[str] | None, version_argument("the version in production before")]


def _require_reason(reason: str | None) -> str:
    """Returns the reason; prompts for a missing one on a terminal, and raises BadParameter elsewhere."""
    if reason is not None:
        return reason
    if not sys.stdin.isatty():
        raise typer.BadParameter("Every decision needs a reason.")
    answer: str = typer.prompt("Why", err=True)
    return answer


def _reason_option(help_: str) -> Any:
    text = f"{help_} A terminal prompts for a missing one; elsewhere it is required."
    return typer.Option("--reason", "-m", help=text, callback=_require_reason, show_default=False)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (approve, reject, rollback, decisions):
        add_command(app, command.__name__, command)


def approve(
    reason: Annotated[str | None, _reason_option("Reason of the decision.")] = None,
    arguments: Candidate = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Put a candidate in production; by default the newest."""
    target, names = split_arguments(arguments, "windlass approve [PROJECT] [VERSION]")
    with _open_for_decision(target, key) as (registry, actor):
        project, version = _candidate(registry, target, names)
        decision = registry.approve(project, version.name, actor=actor, reason=str(reason))
    _print_decision(decision, "is in production", json=json)


def reject(
    reason: Annotated[str | None, _reason_option("Reason of the decision.")] = None,
    arguments: Candidate = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Reject a candidate; by default the newest."""
    target, names = split_arguments(arguments, "windlass reject [PROJECT] [VERSION]")
    with _open_for_decision(target, key) as (registry, actor):
        project, version = _candidate(registry, target, names)
        decision = registry.reject(project, version.name, actor=actor, reason=str(reason))
    _print_decision(decision, "is rejected", json=json)


def rollback(
    reason: Annotated[str | None, _reason_option("Reason of the decision.")] = None,
    arguments: Predecessor = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Return to the named version, or to the one that was in production before."""
    target, names = split_arguments(arguments, "windlass rollback [PROJECT] [VERSION]")
    with _open_for_decision(target, key) as (registry, actor):
        project = resolve_project(registry, target)
        to = names[0] if names else None
        decision = registry.rollback(project, to, actor=actor, reason=str(reason))
    _print_decision(decision, "is in production again", json=json)


@contextmanager
def _open_for_decision(target: Path, key: str | None) -> "Iterator[tuple[Registry, str]]":
    """Opens the registry, and yields it with the actor of the decision."""
    settings = Settings.read(near=[target])
    with open_registry(settings) as registry:
        yield registry, decision_actor(registry, settings.key if key is None else key)


def _candidate(registry: "Registry", target: Path, names: list[str]) -> "tuple[str, Version]":
    """Returns the project, and its named version or newest candidate."""
    project = resolve_project(registry, target)
    return project, select_version(
        registry, project, names, lambda version: version.stage is Stage.CANDIDATE, "candidate"
    )


def _print_decision(decision: "Decision", outcome: str, *, json: bool) -> None:
    if json:
        echo_json(decision.json())
    else:
        echo(f"{decision.project} {decision.version} {outcome} (decision {decision.sequence}).")


def decisions(
    project: Annotated[
        Path | None, typer.Argument(help="A project; otherwise all of them.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Verify the chain: report changed or missing decisions."),
    ] = False,
    json: Json = False,
) -> int:
    """List decisions, oldest first."""
    settings = Settings.read() if project is None else Settings.read(near=[project])
    with open_registry(settings) as registry:
        name = None if project is None else resolve_project(registry, project)
        listed = registry.decisions(name)
        faults = registry.verify_decisions(name) if verify else []
    if json:
        values = [decision.json() for decision in listed]
        echo_json(
            {"decisions": values, "verified": not faults, "faults": faults} if verify else values
        )
    else:
        echo_table(
            ("project", "no.", "when", "who", "action", "version", "digest", "why"),
            [
                (d.project, d.sequence, format_time(d.decided_at), d.actor, d.action.value, d.version,
                 d.digest[:12], d.reason)
                for d in listed
            ],
        )  # fmt: skip
        if verify and not faults:
            count = f"{len(listed)} decision{'s' * (len(listed) != 1)}"
            echo(f"Verified: {count}, each as it was made; the stages follow from them.")
    for fault in faults:
        echo_error(fault)
    return FAILED if faults else DONE
