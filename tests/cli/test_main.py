"""The start of `windlass`: what it imports, and Ctrl+C meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.server import WINDLASS, environment

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


def started(
    command: list[str], module: str, folder: Path, *, ignored: bool = False
) -> "subprocess.Popen[str]":
    """`windlass versions`, in the midst of importing this module in Typer's place."""
    (folder / "typer.py").write_text(module)
    if ignored:  # as by nohup, or in the background of a script
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        [*command, "versions"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder / "home")
        | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    return process


@pytest.mark.parametrize("command", COMMANDS, ids=["script", "module"])
@pytest.mark.parametrize("module", [PLAINLY, IN_A_CLASS, SWALLOWED])
def test_ctrl_c_while_importing_is_quiet(command: list[str], module: str, tmp_path: Path) -> None:
    process = started(command, module, tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (130, "", "")


def test_where_ctrl_c_is_ignored_it_stays_so(tmp_path: Path) -> None:
    process = started(COMMANDS[0], PLAINLY, tmp_path, ignored=True)
    process.send_signal(signal.SIGINT)
    process.communicate("go on\n", timeout=90)
    assert process.returncode == 7


def test_commands_are_imported_without_a_database_or_a_server(tmp_path: Path) -> None:
    code = f"import sys, windlass.cli.commands; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(tmp_path) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert done.stdout == "[]\n"
