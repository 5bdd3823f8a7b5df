"""`windlass train PROJECT`, and the same as a project's own `train.py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.cli.console import guarded, progress, say, say_error, say_facts, say_json
from windlass.cli.flags import Parser, add_hyperparameters, hyperparameters
from windlass.core.loading import Source, load_project, project_source
from windlass.core.project import Project
from windlass.settings import Settings

if TYPE_CHECKING:
    import typer

    from windlass.workflows.train import TrainingResult

_SWITCHES = ("--no-track", "--json", "-h", "--help")  # options that no value follows
_ABOUT = "Train a model, score it on held-out rows, and seal it in a bundle."


def register(app: "typer.Typer") -> None:
    """Attach `train` to the application. The flags depend on the project, so they are read by our own parser."""
    import typer

    @app.command(
        "train",
        help=_ABOUT,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def train(context: typer.Context) -> None:
        raise typer.Exit(run(context.args))


def run(arguments: Sequence[str]) -> int:
    """`windlass train [PROJECT] [options]`; returns the exit code."""
    folder, rest = _split(arguments)
    prog = "windlass train [PROJECT]"
    if {"-h", "--help"} & set(rest) and not (folder / "project.py").is_file():
        _parser(prog, None).print_help()
        return 0

    def action() -> int:
        project, source = load_project(folder)
        return _train(project, source, _parser(prog, project).parse_args(rest), folder)

    return guarded(action)


def _split(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """The project's folder, wherever it stands among the options, and the rest."""
    for index, argument in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        is_value = before.startswith("-") and "=" not in before and before not in _SWITCHES
        if not argument.startswith("-") and not is_value:
            return Path(argument), [*arguments[:index], *arguments[index + 1 :]]
    return Path(), list(arguments)


def train_command(project: Project, arguments: Sequence[str] | None = None) -> None:
    """Train `project` as the command line asks, then leave the process: the whole of a `train.py`."""
    parsed = _parser(Path(sys.argv[0]).name, project).parse_args(arguments)

    def action() -> int:
        source = project_source(project)
        return _train(project, source, parsed, source.folder)

    raise SystemExit(guarded(action))


def _parser(prog: str, project: Project | None) -> argparse.ArgumentParser:
    usage = f"{prog} [--model NAME] [--HYPERPARAMETER VALUE …] [options]"
    parser = Parser(prog=prog, usage=usage, description=_ABOUT, allow_abbrev=False)
    models = "the project's candidates"
    if project is not None:
        names = [kind.name for kind in project.candidates]
        models = f"{', '.join(names)} (default {names[0]})"
    else:
        parser.epilog = "Name a folder with a project.py to see the hyperparameters of its models."
    add = parser.add_argument
    add("--model", metavar="NAME", help=f"which model to train: {models}")
    add("--seed", type=int, default=42, help="of the split and the model (integer, default 42)")
    size = "share of the rows to hold out (number, > 0, < 1, default 0.2)"
    add("--test-size", "--test_size", type=float, default=0.2, help=size)
    add("--artifacts", type=Path, metavar="DIR", help="the bundle (default PROJECT/artifacts)")
    add("--no-track", action="store_true", help="do not record the run in MLflow")
    add("--json", action="store_true", help="print a summary as JSON and nothing else")
    if project is not None:
        add_hyperparameters(parser, project)
    return parser


def _train(project: Project, source: Source, arguments: argparse.Namespace, folder: Path) -> int:
    from windlass.training.request import TrainingRequest
    from windlass.workflows.train import train

    request = TrainingRequest(
        artifacts=arguments.artifacts or folder / "artifacts",
        model=arguments.model,
        hyperparameters=hyperparameters(project, arguments),
        seed=arguments.seed,
        test_size=arguments.test_size,
        track=not arguments.no_track,
    )
    with progress(quiet=arguments.json) as report:
        result = train(project, source, request, Settings.read(), report)
    if arguments.json:
        say_json(_summary(result))
        return 0
    _tell(result)
    return 0


def _summary(result: "TrainingResult") -> dict[str, Any]:
    manifest = result.bundle.manifest
    return {
        "project": manifest.project,
        "params": result.params,
        "metrics": result.metrics,
        "gates": [gate.model_dump() for gate in manifest.gates],
        "engine": manifest.engine.model_dump(),
        "artifacts": str(result.bundle.path),
        "version": result.bundle.version,
        "digest": result.bundle.digest,
        "data_digest": manifest.data_digest,
        "warnings": list(result.warnings),
        "tracked": result.tracked,
        "untracked": result.untracked,
    }


def _tell(result: "TrainingResult") -> None:
    for text in result.warnings:
        say_error(f"warning while fitting: {text}")
    if result.untracked is not None:
        say_error(f"warning: {result.untracked}")
    manifest, params = result.bundle.manifest, dict(result.params)
    model = params.pop("model")
    facts = [
        ("model", str(model)),
        ("hyperparameters", ", ".join(f"{name} = {value}" for name, value in params.items())),
        *_scores(result.metrics),
        *(
            ("gate", f"{gate.rule}: {'passed' if gate.passed else 'FAILED'}")
            for gate in manifest.gates
        ),
        ("engine", manifest.engine.name + _reason(manifest.engine.reason)),
        ("artifacts", f"{result.bundle.path} (digest {result.bundle.digest[:12]})"),
    ]
    if result.tracked is not None:
        facts.append(("tracked", result.tracked))
    say_facts(facts)
    if not all(gate.passed for gate in manifest.gates):
        say("Not every gate passed: this bundle cannot be approved.")


def _reason(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _scores(metrics: dict[str, float]) -> list[tuple[str, str]]:
    if "accuracy" not in metrics:
        names = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
        return [(shown, f"{metrics[name]:,.4g}") for name, shown in names.items()]
    interval = f"95 % interval {metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    rows = f"{metrics['test_rows']:.0f} test rows"
    return [
        ("accuracy", f"{metrics['accuracy']:.4f} ({interval}, {rows})"),
        ("macro F1", f"{metrics['macro_f1']:.4f}"),
    ]
