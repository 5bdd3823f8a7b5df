"""No call of the Python API ends the process: only commands, and the main modules of child processes, exit."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.paths import ROOT

PACKAGE = ROOT / "src" / "windlass"
EXITING = ("cli/", "__main__.py", "workflows/execution/project_process_main.py", "web/", "app.py")
_CALLS = {"exit", "_exit", "quit", "abort"}


def exits(tree: ast.AST) -> Iterator[int]:
    """The lines of a file that end the process."""
    for node in ast.walk(tree):
        match node:
            case ast.Raise(
                exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"))
            ):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="sys" | "os" | "typer"), attr=name)):
                if name in _CALLS or name == "Exit":
                    yield node.lineno
            case ast.Call(func=ast.Name(id="exit" | "quit")):
                yield node.lineno


def test_only_commands_and_child_processes_exit() -> None:
    found_lines = [
        f"{path.relative_to(PACKAGE).as_posix()}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.relative_to(PACKAGE).as_posix().startswith(EXITING)
        for line in exits(ast.parse(path.read_text("utf-8")))
    ]
    assert found_lines == []


@pytest.mark.parametrize(
    "source", ["raise SystemExit(1)", "sys.exit()", "os._exit(1)", "exit(2)", "raise SystemExit"]
)
def test_an_exit_is_recognised(source: str) -> None:
    assert list(exits(ast.parse(source))) == [1]


def test_the_file_that_it_reads_is_there() -> None:
    assert all((PACKAGE / Path(name)).exists() for name in EXITING)
