"""The start of `windlass`: what it imports, and Ctrl+C meanwhile."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.child_process import WINDLASS, ChildProcess, run_python
from tests.support.server import environment

COMMANDS = [[str(WINDLASS)], [sys.executable, "-m", "windlass"]]
# what only some commands need, imported by them
HEAVY = {
    "dbos",
    "duckdb",
    "onnxruntime",
    "pandas",
    "polars",
    "pyarrow",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}
# what is imported, as it were: it says that it has begun, and does not end by itself
PLAINLY = """
print("importing", flush=True)
input()
raise SystemExit(7)
"""
IN_A_CLASS = """
class Slow:
    def __set_name__(self, owner, name):  # whatever is raised here comes out as a RuntimeError
        print("importing", flush=True)
        input()
class Owner:
    slow = Slow()
"""
SWALLOWED = """
try:
    print("importing", flush=True)
    input()
except BaseException:
    pass
raise SystemExit(7)
"""


@contextmanager
def started(
    command: list[str], module: str, folder: Path, *, ignored: bool = False
) -> Iterator[ChildProcess]:
    """`windlass versions`, in the midst of importing this module in Typer's place."""
    (folder / "typer.py").write_text(module)
    if ignored:  # as by nohup, or in the background of a script
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    variables = environment(folder / "home", PYTHONPATH=str(folder))
    with ChildProcess([*command, "versions"], env=variables) as process:
        assert process.read_line() == "importing"
        yield process


@pytest.mark.parametrize("command", COMMANDS, ids=["script", "module"])
@pytest.mark.parametrize("module", [PLAINLY, IN_A_CLASS, SWALLOWED])
def test_ctrl_c_while_importing_is_quiet(command: list[str], module: str, tmp_path: Path) -> None:
    with started(command, module, tmp_path) as process:
        process.signal(signal.SIGINT)
        assert process.wait(timeout=90) == 130
        ended = process.finish()
    assert (ended.out, ended.err) == ("", "")


def test_where_ctrl_c_is_ignored_it_stays_so(tmp_path: Path) -> None:
    with started(COMMANDS[0], PLAINLY, tmp_path, ignored=True) as process:
        process.signal(signal.SIGINT)
        process.write_line("go on")
        assert process.finish(timeout=90).code == 7


def test_commands_are_imported_without_a_database_or_a_server(tmp_path: Path) -> None:
    code = f"import sys, windlass.cli.commands; print(sorted({HEAVY!r} & sys.modules.keys()))"
    assert run_python(code, env=environment(tmp_path)) == "[]\n"
