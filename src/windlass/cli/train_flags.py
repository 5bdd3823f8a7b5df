"""The flags of a training, which depend on the models that the project declares."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from windlass.cli.flags import Parser, add_hyperparameters, hyperparameters
from windlass.core.declaration import Model
from windlass.training.request import SEED, TEST_SIZE

ABOUT = "Train a model, score it on held-out rows, and seal it in a bundle."
_SWITCHES = ("--no-track", "--json", "-h", "--help")  # options that no value follows


def split_folder(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """The project's folder, wherever it stands among the options, and the rest."""
    for index, argument in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        is_value = before.startswith("-") and "=" not in before and before not in _SWITCHES
        if not argument.startswith("-") and not is_value:
            return Path(argument), [*arguments[:index], *arguments[index + 1 :]]
    return Path(), list(arguments)


def training_parser(prog: str, models: Sequence[Model]) -> argparse.ArgumentParser:
    """The parser for these models; without any, its help says how to see theirs."""
    usage = f"{prog} [--model NAME] [--HYPERPARAMETER VALUE …] [options]"
    parser = Parser(prog=prog, usage=usage, description=ABOUT, allow_abbrev=False)
    names = "the project's candidates"
    if models:
        names = f"{', '.join(model.name for model in models)} (default {models[0].name})"
    else:
        parser.epilog = "Name a folder with a project.py to see the hyperparameters of its models."
    add = parser.add_argument
    add("--model", metavar="NAME", help=f"which model to train: {names}")
    about = f"of the split and the model (integer, default {SEED})"
    add("--seed", type=int, default=SEED, help=about)
    size = f"share of the rows to hold out (number, > 0, < 1, default {TEST_SIZE})"
    add("--test-size", "--test_size", type=float, default=TEST_SIZE, help=size)
    file = "train on this file, where the project's data function takes one"
    add("--data", type=Path, metavar="FILE", help=file)
    snapshot = "train on this snapshot of the features (integer, default the newest)"
    add("--snapshot", type=int, metavar="N", help=snapshot)
    add("--artifacts", type=Path, metavar="DIR", help="the bundle (default PROJECT/artifacts)")
    add("--no-track", action="store_true", help="do not record the run in MLflow")
    add("--json", action="store_true", help="print a summary as JSON and nothing else")
    add_hyperparameters(parser, models)
    return parser


def training_request(
    models: Sequence[Model], arguments: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """What the arguments ask of a training job."""
    return {
        "model": arguments.model,
        "hyperparameters": hyperparameters(models, arguments),
        "seed": arguments.seed,
        "test_size": arguments.test_size,
        "folder": str(folder.resolve()),
        "data": None if arguments.data is None else str(arguments.data.resolve()),
        "snapshot": arguments.snapshot,
        "track": not arguments.no_track,
    }
