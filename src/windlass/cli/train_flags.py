"""The flags of a training, which depend on the models that the project declares."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from windlass.cli.console import say_usage
from windlass.core.project_spec import CandidateSpec
from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE

_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


class TrainFlagParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        say_usage(f"{message}. See {self.prog} --help.")


def add_hyperparameters(parser: argparse.ArgumentParser, models: Sequence[CandidateSpec]) -> None:
    """One flag for each field of each candidate; a field that several candidates share is one flag."""
    seen: set[str] = set()
    for model in models:
        group = parser.add_argument_group(f"model {model.name}", model.description)
        for name, schema in _properties(model).items():
            if name not in seen:
                _add(group, name, schema, _help(models, name))
            seen.add(name)


def hyperparameters(
    models: Sequence[CandidateSpec], arguments: argparse.Namespace
) -> dict[str, Any]:
    """The hyperparameters that were given on the command line, by field name."""
    fields: dict[str, Any] = {}
    for model in reversed(models):
        fields |= _properties(model)
    given = {name: value for name, value in vars(arguments).items() if name in fields}
    return {name: _decode(value, fields[name]) for name, value in given.items()}


def _add(group: Any, name: str, schema: Mapping[str, Any], text: str) -> None:
    flags = list(dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"]))
    common = {"dest": name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if schema.get("type") == "boolean":
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **common)
    else:
        metavar = _kind(schema).split(",")[0].split(" ")[0].upper()
        group.add_argument(*flags, metavar=metavar, **common)


def _help(models: Sequence[CandidateSpec], name: str) -> str:
    """What the flag means, once for each candidate where they differ."""
    told: dict[str, list[str]] = {}
    for model in models:
        schema = _properties(model).get(name)
        if schema is not None:
            told.setdefault(_describe(schema), []).append(model.name)
    if len(told) == 1:
        text, owners = next(iter(told.items()))
        return text if len(owners) == 1 else f"{text}; of {', '.join(owners)}"
    return "; ".join(f"{', '.join(owners)}: {text}" for text, owners in told.items())


def _describe(schema: Mapping[str, Any]) -> str:
    facts = [_kind(schema)]
    for part in (schema, *schema.get("anyOf", ())):
        facts += [f"{sign} {part[key]:g}" for key, sign in _LIMITS.items() if key in part]
    facts.append(f"default {json.dumps(schema.get('default')).replace('null', 'none')}")
    return f"{schema.get('description', '')} ({', '.join(facts)})".strip()


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    name = str(schema.get("type", "value"))
    return {"null": "none", "string": "text"}.get(name, name)


def _decode(value: Any, schema: Mapping[str, Any]) -> Any:
    """What was typed as the value that the field expects; pydantic judges what is left as text."""
    kinds = [part.get("type") for part in (schema, *schema.get("anyOf", ()))]
    if not isinstance(value, str):
        return value
    if "null" in kinds and value.lower() in ("none", "null"):
        return None
    if "string" in kinds:
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _properties(model: CandidateSpec) -> dict[str, dict[str, Any]]:
    schema = model.hyperparameters
    definitions = schema.get("$defs", {})
    found = {}
    for name, field in schema.get("properties", {}).items():
        reference = field.get("$ref", "").rpartition("/")[2]
        found[name] = {**definitions.get(reference, {}), **field}
    return found


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


def training_parser(prog: str, models: Sequence[CandidateSpec]) -> argparse.ArgumentParser:
    """The parser for these models; without any, its help says how to see theirs."""
    usage = f"{prog} [--model NAME] [--HYPERPARAMETER VALUE …] [options]"
    parser = TrainFlagParser(prog=prog, usage=usage, description=ABOUT, allow_abbrev=False)
    names = "the project's candidates"
    if models:
        names = f"{', '.join(model.name for model in models)} (default {models[0].name})"
    else:
        parser.epilog = "Name a folder with a project.py to see the hyperparameters of its models."
    add = parser.add_argument
    add("--model", metavar="NAME", help=f"which model to train: {names}")
    about = f"of the split and the model (integer, default {DEFAULT_SEED})"
    add("--seed", type=int, default=DEFAULT_SEED, help=about)
    size = f"share of the rows to hold out (number, > 0, < 1, default {DEFAULT_TEST_SIZE})"
    add("--test-size", "--test_size", type=float, default=DEFAULT_TEST_SIZE, help=size)
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
    models: Sequence[CandidateSpec], arguments: argparse.Namespace, folder: Path
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
