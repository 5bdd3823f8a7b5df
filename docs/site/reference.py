"""Writes the reference: of the Python API from its docstrings, of commands, settings and routes from the code."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click
import griffe
import typer.main

import windlass
from windlass.cli.commands import app
from windlass.settings import VARIABLES

_HIDDEN = ("model_config", "__init_subclass__")
_METHODS = ("get", "post", "put", "patch", "delete")


def python_page() -> str:
    """Returns the page of everything that `import windlass` offers."""
    package = griffe.load("windlass", search_paths=["src"])
    lines = [
        "# Python API",
        "",
        "Everything that `import windlass` offers, from the docstrings.",
        "",
    ]
    for name in windlass.__all__:
        member = package[name]
        lines += _object(name, member.final_target if member.is_alias else member)
    return "\n".join(lines)


def _object(name: str, item: Any) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if item.is_class:
        yield from _class(name, item)
    else:
        signature = item.signature() if item.is_function else name
        yield from ("```python", signature, "```", "", _docstring(item), "")


def _class(name: str, item: Any) -> Iterator[str]:
    init = item.members.get("__init__")
    if init is not None and not init.is_alias:
        signature = init.signature().removeprefix("__init__").removesuffix(" -> None")
        yield from ("```python", f"class {name}{signature}", "```", "")
    yield from (_docstring(item), "")
    for member_name, member in item.members.items():
        if member_name.startswith("_") or member_name in _HIDDEN or member.is_alias:
            continue
        if member.docstring is None:
            continue
        title = member.signature() if member.is_function else member_name
        yield from (
            f"### {name}.{member_name}",
            "",
            "```python",
            title,
            "```",
            "",
            _docstring(member),
            "",
        )


def _docstring(item: Any) -> str:
    return "" if item.docstring is None else str(item.docstring.value)


def command_page() -> str:
    """Returns the page of the command line."""
    group: Any = typer.main.get_command(app)  # of the Click that Typer carries
    context = click.Context(group, info_name="windlass")
    lines = [
        "# Command line",
        "",
        "Every command, its arguments and its options, from the code.",
        "",
    ]
    for path, command in _commands(group, context, ("windlass",)):
        lines += _command(path, command)
    return "\n".join(lines)


def _commands(
    group: Any, context: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield from _commands(command, context, (*path, name))
        else:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (
        f"## {' '.join(path)}",
        "",
        f"    {' '.join(path)} {pieces}",
        "",
        command.help or "",
        "",
    )
    rows = [
        _parameter(each)
        for each in command.get_params(context)
        if not getattr(each, "hidden", False)
    ]
    yield from table(("argument or option", "meaning", "default"), [row for row in rows if row])
    if path[-1] == "train":
        yield from (
            "Each hyperparameter of the project's models is an option too: `windlass train PROJECT --help`.",
            "",
        )


def _parameter(each: Any) -> tuple[str, str, str] | None:
    if each.name == "help":
        return None
    is_argument = each.param_type_name == "argument"
    names = [] if is_argument else [*each.opts, *each.secondary_opts]
    metavar = each.metavar or ""
    shown = metavar if is_argument else ", ".join(names) + (f" {metavar}" if metavar else "")
    default = each.show_default if isinstance(each.show_default, str) else ""
    if not default and each.default not in (None, False, (), [], ""):
        default = "yes" if each.default is True else str(each.default)
    return f"`{shown}`", str(getattr(each, "help", None) or ""), default


def settings_page() -> str:
    """Returns the page of the environment variables."""
    rows = [
        (", ".join(f"`{name}`" for name in variable.names), variable.default, variable.meaning)
        for variable in VARIABLES
    ]
    text = "\n".join(table(("variable", "default", "meaning"), rows)).replace("](docs/", "](../")
    return f"# Settings\n\nEnvironment variables, read once when a process starts.\n\n{text}"


def http_page(document: dict[str, Any]) -> str:
    """Returns the page of the routes of an OpenAPI document."""
    lines = [
        "# HTTP API", "",
        ("The routes of a server, from its OpenAPI document; a server shows its own at `/docs`, with the rows of its"
        " projects."), "",
    ]  # fmt: skip
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                lines += _operation(method, path, item[method])
    return "\n".join(lines)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {method.upper()} {path}", "", operation.get("summary", ""), "")
    yield from (operation.get("description", ""), "")
    parameters = [
        (f"`{each['name']}` ({each['in']})", each.get("description", ""))
        for each in operation.get("parameters", ())
        if "name" in each
    ]
    yield from table(("parameter", "meaning"), parameters)
    body = operation.get("requestBody")
    if body is not None:
        yield from (f"Body: {', '.join(f'`{kind}`' for kind in body.get('content', {}))}.", "")
    answers = [
        (
            f"`{status}`",
            str(answer.get("description", "")),
            ", ".join(f"`{kind}`" for kind in answer.get("content", {})),
        )
        for status, answer in operation["responses"].items()
    ]
    yield from table(("status", "answer", "content types"), answers)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yields the lines of a Markdown table, and an empty one; nothing without rows."""
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    if not cells:
        return
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(row)} |" for row in cells)
    yield ""


def reference_pages(openapi: bytes | str) -> dict[str, str]:
    """Returns the text of each page of the reference, by its file name."""
    return {
        "python.md": python_page(),
        "cli.md": command_page(),
        "settings.md": settings_page(),
        "http.md": http_page(json.loads(openapi)),
    }
