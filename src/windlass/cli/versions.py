"""`windlass versions | show | compare | prune`: what the registry knows, and what it keeps."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.cli.console import DONE, guarded, say, say_facts, say_json, say_table, say_usage
from windlass.cli.context import chosen, opened, project_of, split_arguments
from windlass.core.gates import GateResult

if TYPE_CHECKING:
    from windlass.registry.comparison import Comparison
    from windlass.registry.decisions import Decision
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Project = Annotated[Path, typer.Argument(help="A project: its folder, or its name.")]
Which = Annotated[
    list[str] | None, typer.Argument(metavar="[PROJECT] [VERSION]", show_default="newest, here")
]
_SHOWN = ("accuracy", "roc_auc", "macro_f1", "r2", "mae", "rmse", "log_loss")


def register(app: typer.Typer) -> None:
    """Attach the commands to the application."""

    @app.command("versions")
    def versions(project: Project = Path(), json: Json = False) -> None:
        """List a project's versions, newest first."""
        raise typer.Exit(guarded(lambda: _versions(project, json=json)))

    @app.command("show")
    def show(which: Which = None, json: Json = False) -> None:
        """Show one version: parameters, metrics, gates, decisions, and where its bundle is."""
        place, names = split_arguments(which, most=1, usage="windlass show [PROJECT] [VERSION]")
        raise typer.Exit(guarded(lambda: _show(place, names, json=json)))

    @app.command("compare")
    def compare(
        which: Annotated[
            list[str] | None, typer.Argument(metavar="[PROJECT] VERSION VERSION")
        ] = None,
        json: Json = False,
    ) -> None:
        """Compare two versions on the rows that neither was trained on, with intervals."""
        usage = "windlass compare [PROJECT] VERSION VERSION"
        place, names = split_arguments(which, most=2, usage=usage)
        if len(names) < 2:
            say_usage(f"Name two versions. Use: {usage}")
        raise typer.Exit(guarded(lambda: _compare(place, names, json=json)))

    @app.command("prune")
    def prune(
        project: Project = Path(),
        keep: Annotated[
            int,
            typer.Option(
                min=0,
                help="Keep as many of the newest, and of the newest that are not rejected and failed no gate.",
            ),
        ] = 5,
        json: Json = False,
    ) -> None:
        """Remove the bundles of old versions; never production's, nor the one a rollback returns to."""
        raise typer.Exit(guarded(lambda: _prune(project, keep, json=json)))


def _versions(place: Path, *, json: bool) -> int:
    with opened() as registry:
        found = registry.versions(project_of(registry, place))
    if json:
        say_json([version.json() for version in found])
        return DONE
    say_table(
        ("version", "stage", "trained", "by", "model", "metrics", "gates", "digest"),
        [
            (
                version.name,
                version.stage.value + (" (pruned)" if version.pruned_at else ""),
                moment(version.created_at),
                version.trained_by,
                version.facts["params"]["model"],
                _metrics(version),
                _gates(version),
                version.digest[:12],
            )
            for version in found
        ],
    )
    return DONE


def _show(place: Path, names: list[str], *, json: bool) -> int:
    with opened() as registry:
        project = project_of(registry, place)
        version = chosen(registry, project, names, lambda _: True, "version yet")
        decisions = [d for d in registry.decisions(project) if d.number == version.number]
        where = registry.location(version)
    if json:
        listed = [decision.json() for decision in decisions]
        say_json({**version.json(), "location": where, "decisions": listed})
        return DONE
    params = dict(version.facts["params"])
    model = params.pop("model")
    say_facts(
        [
            ("version", f"{version.project} {version.name}"),
            ("stage", version.stage.value),
            ("model", str(model)),
            ("hyperparameters", ", ".join(f"{name} = {value}" for name, value in params.items())),
            ("trained", f"{moment(version.created_at)} by {version.trained_by}"),
            *((name, f"{value:,.6g}") for name, value in version.facts["metrics"].items()),
            *(("gate", _gate(gate)) for gate in version.gates),
            *(("decision", _decision(decision)) for decision in decisions),
            ("engine", str(version.facts["engine"]["name"])),
            ("data digest", str(version.facts["data_digest"])),
            ("digest", version.digest),
            ("bundle", where),
        ]
    )
    return DONE


def _compare(place: Path, names: list[str], *, json: bool) -> int:
    with opened() as registry:
        comparison = compared(registry, project_of(registry, place), names[0], names[1])
    if json:
        say_json({"versions": names, **comparison.json()})
        return DONE
    say(comparison.summary(names[0], names[1]))
    if comparison.metrics:
        say_table(
            ("metric", names[0], names[1], f"{names[0]} - {names[1]}", f"{comparison.confidence:.0%} interval", ""),
            [
                (m.metric, f"{m.a:.4f}", f"{m.b:.4f}", f"{m.difference:+.4f}",
                 f"{m.low:+.4f} to {m.high:+.4f}", m.verdict(names[0], names[1]))
                for m in comparison.metrics
            ],
        )  # fmt: skip
    return DONE


def compared(registry: "Registry", project: str, first: str, second: str) -> "Comparison":
    """The comparison of two versions. Raises UnknownError, RegistryError, StorageError."""
    from windlass.registry.comparison import compare

    a, b = (registry.fetch(registry.version(project, name)) for name in (first, second))
    return compare(a, b)


def _prune(place: Path, keep: int, *, json: bool) -> int:
    with opened() as registry:
        pruned = registry.prune(project_of(registry, place), keep)
    names = [version.name for version in pruned]
    if json:
        say_json(names)
    else:
        say(
            f"Removed the bundles of {', '.join(names)}."
            if names
            else "There was nothing to remove."
        )
    return DONE


def moment(seconds: float) -> str:
    """A time as people read it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _metrics(version: "Version") -> str:
    metrics = version.facts["metrics"]
    found = [f"{name} {metrics[name]:.4g}" for name in _SHOWN if name in metrics]
    return ", ".join(found[:2])


def _gates(version: "Version") -> str:
    counts = Counter(gate.verdict for gate in version.gates)
    return ", ".join(f"{counts[v]} {v}" for v in ("FAILED", "undecided", "passed") if counts[v])


def _decision(decision: "Decision") -> str:
    return f"{moment(decision.decided_at)} {decision.action.value} by {decision.actor}: {decision.reason}"


def _gate(gate: GateResult) -> str:
    return f"{gate.rule}: {gate.verdict}{f' ({gate.note})' if gate.note else ''}"
