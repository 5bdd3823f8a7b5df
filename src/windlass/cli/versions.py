"""`windlass versions | show | compare | prune`: lists, shows and compares versions, removes old bundles."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import (
    Json,
    add_command,
    echo,
    echo_facts,
    echo_json,
    echo_table,
    fail_usage,
)
from windlass.cli.context import ProjectArgument, select_version, split_arguments, version_argument
from windlass.cli.training_report import finding_facts
from windlass.core.gates import GateResult
from windlass.core.leading_metrics import order_metrics, summarise_metrics
from windlass.settings import Settings
from windlass.workflows.project_lookup import open_registry, resolve_project

if TYPE_CHECKING:
    from windlass.registry.decisions import Decision
    from windlass.registry.version import Version


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (versions, show, compare, prune):
        add_command(app, command.__name__, command)


def versions(project: ProjectArgument = Path(), json: Json = False) -> None:
    """List a project's versions, newest first."""
    with open_registry(Settings.read(near=[project])) as registry:
        listed = registry.versions(resolve_project(registry, project))
    if json:
        echo_json([version.json() for version in listed])
        return
    echo_table(
        ("version", "stage", "trained", "by", "model", "metrics", "gates", "digest"),
        [
            (
                version.name,
                version.stage.value + (" (pruned)" if version.pruned_at else ""),
                format_time(version.created_at),
                version.trained_by,
                version.facts["params"]["model"],
                summarise_metrics(version.facts["metrics"], version.rules),
                _gates(version),
                version.digest[:12],
            )
            for version in listed
        ],
    )


def show(
    arguments: Annotated[
        list[str] | None, version_argument("the version in production, otherwise the newest")
    ] = None,
    json: Json = False,
) -> None:
    """Show a version: parameters, metrics, gates, decisions, and where its bundle is."""
    target, names = split_arguments(arguments, "windlass show [PROJECT] [VERSION]")
    with open_registry(Settings.read(near=[target])) as registry:
        project = resolve_project(registry, target)
        version = None if names else registry.production(project)
        version = version or select_version(registry, project, names, lambda _: True, "version yet")
        decisions = [d for d in registry.decisions(project) if d.number == version.number]
        location = registry.location(version)
    if json:
        values = [decision.json() for decision in decisions]
        echo_json({**version.json(), "location": location, "decisions": values})
        return
    params = dict(version.facts["params"])
    model = params.pop("model")
    metrics = order_metrics(version.facts["metrics"], version.rules)
    echo_facts(
        [
            ("version", f"{version.project} {version.name}"),
            ("stage", version.stage.value),
            ("model", str(model)),
            ("hyperparameters", ", ".join(f"{name} = {value}" for name, value in params.items())),
            ("trained", f"{format_time(version.created_at)} by {version.trained_by}"),
            *((name, f"{value:,.6g}") for name, value in metrics.items()),
            *finding_facts(version.facts.get("findings", ())),
            *(("gate", _gate(gate)) for gate in version.gates),
            *(("decision", _decision(decision)) for decision in decisions),
            ("engine", str(version.facts["engine"]["name"])),
            ("data digest", str(version.facts["data_digest"])),
            ("digest", version.digest),
            ("bundle", location),
        ]
    )


def compare(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROJECT] VERSION VERSION", help="The two versions, and their project."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare two versions on the rows that neither was trained on, with intervals."""
    from windlass.registry.comparison import compare as compare_bundles

    usage = "windlass compare [PROJECT] VERSION VERSION"
    target, names = split_arguments(which, usage, max_versions=2)
    if len(names) < 2:
        fail_usage(f"Name two versions. Use: {usage}")
    with open_registry(Settings.read(near=[target])) as registry:
        project = resolve_project(registry, target)
        first, second = (registry.fetch(registry.version(project, name)) for name in names)
    comparison = compare_bundles(first, second)
    if json:
        echo_json({"versions": names, **comparison.json()})
        return
    echo(comparison.summary(names[0], names[1]))
    if comparison.metrics:
        echo_table(
            ("metric", names[0], names[1], f"{names[0]} - {names[1]}", f"{comparison.confidence:.0%} interval", ""),
            [
                (m.metric, f"{m.a:.4f}", f"{m.b:.4f}", f"{m.difference:+.4f}",
                 f"{m.low:+.4f} to {m.high:+.4f}", m.verdict(names[0], names[1]))
                for m in comparison.metrics
            ],
        )  # fmt: skip


def prune(
    project: ProjectArgument = Path(),
    keep: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of newest versions to keep, and of the newest that passed their gates.",
        ),
    ] = 5,
    json: Json = False,
) -> None:
    """Remove the bundles of old versions; never production's, nor the one a rollback returns to."""
    with open_registry(Settings.read(near=[project])) as registry:
        pruned = registry.prune(resolve_project(registry, project), keep)
    names = [version.name for version in pruned]
    if json:
        echo_json(names)
    elif names:
        echo(f"Removed the bundles of {', '.join(names)}.")
    else:
        echo("There was nothing to remove.")


def format_time(seconds: float) -> str:
    """Formats seconds since 1970 as a UTC date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _gates(version: "Version") -> str:
    counts = Counter(gate.verdict for gate in version.gates)
    return ", ".join(f"{counts[v]} {v}" for v in ("FAILED", "undecided", "passed") if counts[v])


def _decision(decision: "Decision") -> str:
    return f"{format_time(decision.decided_at)} {decision.action.value} by {decision.actor}: {decision.reason}"


def _gate(gate: GateResult) -> str:
    return f"{gate.rule}: {gate.verdict}{f' ({gate.note})' if gate.note else ''}"
