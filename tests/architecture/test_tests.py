"""The tests' own code: a harness alone starts processes, and what several files use is in `tests/support`."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.paths import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))
SUPPORT = ROOT / "tests" / "support"
HARNESS = tuple(
    SUPPORT / f"{name}.py" for name in ("child_process", "fork_server", "forked_children")
)
FORKS = SUPPORT / "crash_points.py"  # one fork for each write, without imports
MODULES = {"subprocess", "multiprocessing", "pexpect"}
CALLS = {"fork", "forkpty", "popen", "system"}
PREFIXES = ("spawn", "posix_spawn", "create_subprocess")


def process_starts(tree: ast.AST) -> Iterator[str]:
    """What a file uses to start processes by itself: modules that it imports, functions that it names."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in MODULES:
                    yield module
                yield from (name.name for name in names if _starts_process(name.name))
            case ast.Attribute(attr=name, value=ast.Name(id="os" | "asyncio" | "pty")):
                if _starts_process(name):
                    yield name


def imported_tests(tree: ast.AST) -> Iterator[str]:
    """The modules of tests that a file imports, other than those of `tests/support`."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module.startswith("tests."):
                if module.split(".")[1] != "support":
                    yield module


def offences(find: Callable[[ast.AST], Iterator[str]], files: list[Path]) -> dict[str, list[str]]:
    """The names that `find` yields for each file, where there are any."""
    names_in = {path: sorted(find(ast.parse(path.read_text("utf-8")))) for path in files}
    return {str(path.relative_to(ROOT)): names for path, names in names_in.items() if names}


def _starts_process(name: str) -> bool:
    return name in CALLS or name.startswith(PREFIXES)


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "import subprocess as child",
        "from subprocess import run",
        "def work():\n    import multiprocessing.pool",
        "os.fork()",
        "from os import spawnv",
        "pty.spawn(command)",
        "asyncio.create_subprocess_exec(command)",
    ],
)
def test_a_process_start_is_recognised(source: str) -> None:
    assert len(list(process_starts(ast.parse(source)))) == 1


def test_only_the_harness_starts_processes() -> None:
    assert offences(process_starts, [path for path in TESTS if path not in (*HARNESS, FORKS)]) == {}


def test_no_test_file_imports_from_another() -> None:
    assert offences(imported_tests, TESTS) == {}
