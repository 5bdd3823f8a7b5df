"""Command-line flags of a training, as Click options: fixed ones, and the hyperparameters of a project's models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from windlass.cli.console import fail_usage
from windlass.core.project_spec import CandidateSpec
from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE, MAX_SEED, TrainingRequest

ABOUT = "Train a model, score it on held-out rows, and seal it in a bundle."
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_SWITCHES = ("--no-track", "--json", "-h", "--help")  # options without a value


@dataclass(frozen=True)
class TrainFlags:
    """Flags of a training as they were given. `hyperparameters` holds only the given ones, by field name."""

    model: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = DEFAULT_SEED
    test_size: float = DEFAULT_TEST_SIZE
    data: Path | None = None
    snapshot: int | None = None
    artifacts: Path | None = None
    track: bool = True
    json: bool = False

    def request(self, artifacts: Path) -> TrainingRequest:
        """Returns the request of a training that writes to `artifacts`, unless the flags name another folder."""
        return TrainingRequest(
            artifacts=self.artifacts or artifacts,
            model=self.model,
            hyperparameters=self.hyperparameters,
            seed=self.seed,
            test_size=self.test_size,
            track=self.track,
            data=self.data,
            snapshot=self.snapshot,
        )


def parse_train_flags(
    prog: str, models: Sequence[CandidateSpec], arguments: Sequence[str]
) -> TrainFlags:
    """Parses the flags of a training of one of these models.

    Exits with code 0 after `--help`, and with code 2 and one line for bad usage. Values of hyperparameters are
    validated later, by their models.
    """
    command = TrainCommand(prog, models)
    try:
        _require_values(command, arguments)
        context = command.make_context(prog, list(arguments))
    except click.UsageError as error:
        fail_usage(f"{error.format_message().rstrip('.')}. See {prog} --help.")
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    hyperparameters = {}
    for option in command.params:
        if isinstance(option, HyperparameterOption):
            value = context.params.pop(str(option.name))
            if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
                hyperparameters[option.field] = _parse_value(value, option.schema)
    track = not context.params.pop("no_track")
    return TrainFlags(hyperparameters=hyperparameters, track=track, **context.params)


def split_folder(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Returns the project's folder or name, wherever it is among the options, and the other arguments."""
    for index, argument in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        is_value = before.startswith("-") and "=" not in before and before not in _SWITCHES
        if not argument.startswith("-") and not is_value:
            return Path(argument), [*arguments[:index], *arguments[index + 1 :]]
    return Path(), list(arguments)


class PlainNumber(click.ParamType[Any]):
    """Number in ASCII digits; Click alone would read `1_000`, as Python does."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.name = kind.name
        self._kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        """Converts the text of an argument to a number. Raises BadParameter for another text."""
        if isinstance(value, str) and ("_" in value or not value.isascii()):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        number: int | float = self._kind.convert(value, param, ctx)
        return number


class HyperparameterOption(click.Option):
    """Option of one hyperparameter, with its JSON schema; models that share a field share its option."""

    def __init__(self, name: str, schema: Mapping[str, Any], text: str) -> None:
        self.field = name
        self.schema = schema
        names = dict.fromkeys((name.replace("_", "-"), name))
        is_switch = schema.get("type") == "boolean"
        flags = [f"--{flag}/--no-{flag}" if is_switch else f"--{flag}" for flag in names]
        metavar = None if is_switch else _kind(schema).split(",")[0].split(" ")[0].upper()
        # a name of its own: a field may be called as Python's keywords are
        super().__init__(
            [*flags, f"hyperparameter_{name}"],
            metavar=metavar,
            default=None,
            help=text,
            type=bool if is_switch else str,
        )


class TrainCommand(click.Command):
    """Command with the flags of a training of these models; its help has a section for each model."""

    def __init__(self, prog: str, models: Sequence[CandidateSpec]) -> None:
        self._sections: list[tuple[CandidateSpec, list[click.Parameter]]] = []
        fields: set[str] = set()
        for model in models:
            options: list[click.Parameter] = [
                HyperparameterOption(name, schema, _help(models, name))
                for name, schema in _fields(model).items()
                if name not in fields
            ]
            fields |= _fields(model).keys()
            self._sections.append((model, options))
        super().__init__(
            prog,
            params=[
                *_fixed_options(models),
                *(option for _, options in self._sections for option in options),
            ],
            help=ABOUT,
            epilog=None if models else _EPILOG,
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """Returns the usage line after the program's name."""
        return ["[--model NAME] [--HYPERPARAMETER VALUE …] [options]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the fixed options, then a section for each model."""
        sections = [(f"model {m.name}", m.description, options) for m, options in self._sections]
        listed = {option for _, options in self._sections for option in options}
        fixed = [option for option in self.get_params(ctx) if option not in listed]
        for title, description, options in (("options", "", fixed), *sections):
            records = [record for option in options if (record := option.get_help_record(ctx))]
            with formatter.section(title):
                if description:
                    formatter.write_text(description)
                if records:
                    formatter.write_dl(records)


_EPILOG = "Name a project, by its folder or name, to see the hyperparameters of its models."


def _fixed_options(models: Sequence[CandidateSpec]) -> list[click.Parameter]:
    """Returns the options that every training has."""
    names = "the project's candidates"
    if models:
        names = f"{', '.join(model.name for model in models)} (default {models[0].name})"
    seed = f"of the split and the model (integer, >= 0, <= {MAX_SEED}, default {DEFAULT_SEED})"
    size = f"share of the rows to hold out (number, > 0, < 1, default {DEFAULT_TEST_SIZE})"
    data = "train on this file, where the project's data function takes one"
    snapshot = "train on this snapshot of the features (integer, default the newest)"
    artifacts = "the bundle (default PROJECT/artifacts)"
    path = click.Path(path_type=Path)
    return [
        click.Option(["--model"], metavar="NAME", help=f"which model to train: {names}"),
        click.Option(["--seed"], type=PlainNumber(click.INT), default=DEFAULT_SEED, metavar="N", help=seed),
        click.Option(
            ["--test-size", "--test_size"], type=PlainNumber(click.FLOAT), default=DEFAULT_TEST_SIZE,
            metavar="SHARE", help=size,
        ),
        click.Option(["--data"], type=path, metavar="FILE", help=data),
        click.Option(["--snapshot"], type=PlainNumber(click.INT), metavar="N", help=snapshot),
        click.Option(["--artifacts"], type=path, metavar="DIR", help=artifacts),
        click.Option(["--no-track"], is_flag=True, help="do not record the run in MLflow"),
        click.Option(["--json"], is_flag=True, help="print only a summary as JSON"),
    ]  # fmt: skip


def _require_values(command: click.Command, arguments: Sequence[str]) -> None:
    """Raises UsageError where the value of an option would be the next option, as in `--C --json`."""
    flags = {
        flag
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for flag in option.opts
    }
    for argument, value in pairwise(arguments):
        if argument in flags and value.startswith("--"):
            raise click.BadOptionUsage(argument, f"Option {argument!r} requires an argument.")


def _help(models: Sequence[CandidateSpec], name: str) -> str:
    """Returns the help of a field; where models describe it differently, each description with its models."""
    owners: dict[str, list[str]] = {}
    for model in models:
        schema = _fields(model).get(name)
        if schema is not None:
            owners.setdefault(_describe(schema), []).append(model.name)
    if len(owners) == 1:
        text, names = next(iter(owners.items()))
        return text if len(names) == 1 else f"{text}; of {', '.join(names)}"
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in owners.items())


def _describe(schema: Mapping[str, Any]) -> str:
    """Returns a field's description, type, bounds and default."""
    details = [_kind(schema)]
    for variant in (schema, *schema.get("anyOf", ())):
        details += [f"{sign} {variant[key]:g}" for key, sign in _BOUNDS.items() if key in variant]
    details.append(f"default {json.dumps(schema.get('default')).replace('null', 'none')}")
    return f"{schema.get('description', '')} ({', '.join(details)})".strip()


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(variant) for variant in schema["anyOf"])
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    name = str(schema.get("type", "value"))
    return {"null": "none", "string": "text"}.get(name, name)


def _parse_value(value: Any, schema: Mapping[str, Any]) -> Any:
    """Parses text as the JSON value that the field expects; pydantic validates what stays text."""
    kinds = [variant.get("type") for variant in (schema, *schema.get("anyOf", ()))]
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


def _fields(model: CandidateSpec) -> dict[str, dict[str, Any]]:
    """Returns the JSON schema of each hyperparameter, with references resolved."""
    schema = model.hyperparameters
    definitions = schema.get("$defs", {})
    fields = {}
    for name, declared in schema.get("properties", {}).items():
        reference = declared.get("$ref", "").rpartition("/")[2]
        fields[name] = {**definitions.get(reference, {}), **declared}
    return fields
