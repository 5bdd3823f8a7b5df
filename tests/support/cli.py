"""The command line in this process: as a process of its own runs it, without the seconds that one takes to start."""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.support.child_process import Finished
from tests.support.server import environment
from typer.testing import CliRunner

from windlass import train_command
from windlass.cli.commands import app
from windlass.core.project import Project


def run_cli(*arguments: object, home: Path | None = None, **variables: str) -> Finished:
    """`windlass` with these arguments; with `home` as WINDLASS_HOME, and no other setting of the environment's."""
    changes: dict[str, str | None] = {**variables}
    if home is not None:
        clean = environment(home, **variables)
        changes = {name: clean.get(name) for name in {*clean, *os.environ}}
    words = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, words, env=changes)
    return Finished(done.exit_code, done.stdout, done.stderr)


def run_train_command(project: Project, *arguments: object) -> Finished:
    """A project's `train.py` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            train_command(project, [str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return Finished(int(code or 0), out.getvalue(), err.getvalue())
