"""The command line in this process: as a process of its own runs it, without the seconds that one takes to start."""

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.server import environment
from typer.testing import CliRunner

from windlass import train_command
from windlass.cli.commands import app
from windlass.core.project import Project


@dataclass(frozen=True)
class CliResult:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, parsed."""
        return json.loads(self.out)

    @property
    def error_lines(self) -> list[str]:
        """The lines of standard error with an error, without those of progress."""
        return [line for line in self.err.splitlines() if line.startswith("windlass: ")]


def run_cli(*arguments: object, home: Path | None = None, **variables: str) -> CliResult:
    """`windlass` with these arguments; with `home` as WINDLASS_HOME, and no other setting of the environment's."""
    changes: dict[str, str | None] = {**variables}
    if home is not None:
        clean = environment(home, **variables)
        changes = {name: clean.get(name) for name in {*clean, *os.environ}}
    words = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, words, env=changes)
    return CliResult(done.exit_code, done.stdout, done.stderr)


def run_train_command(project: Project, *arguments: object) -> CliResult:
    """A project's `train.py` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            train_command(project, [str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return CliResult(int(code or 0), out.getvalue(), err.getvalue())
