"""What all commands share: every end is a code and at most one line, and of a table nothing is cut off."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from windlass.cli.commands import app
from windlass.cli.console import DONE, FAILED, echo_table, run_command
from windlass.errors import DataError


def test_an_end_is_a_code_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise DataError("no\nrows")

    def fail() -> None:
        raise ZeroDivisionError("oops")

    assert run_command(lambda: None) == DONE
    assert run_command(refuse) == FAILED
    assert run_command(fail) == FAILED
    first, second = capsys.readouterr().err.splitlines()
    assert first == "windlass: no rows"
    assert second.startswith("windlass: Unexpected ZeroDivisionError: oops (test_console.py, line")


def test_a_reader_that_has_gone_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        raise BrokenPipeError

    with open(os.devnull, "w") as stream:  # noqa: PTH123 - closed by what is tested
        monkeypatch.setattr("sys.stderr", stream)
        assert run_command(write) == FAILED
        assert stream.closed


LONG = f"{'word ' * 30}{'x' * 90}"
ROWS = [("v2", LONG, "production"), ("v1", "two\nlines", "candidate")]


def test_a_table_that_a_program_reads_has_a_line_for_each_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    echo_table(("version", "metrics", "stage"), ROWS)
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["version", "metrics", "stage"]
    assert first.split() == ["v2", *LONG.split(), "production"]
    assert second.split() == ["v1", "two", "lines", "candidate"]


def test_a_table_on_a_terminal_folds_what_is_too_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"COLUMNS": "40", "LINES": "25", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo_table(("version", "metrics", "stage"), ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    text = "".join(lines)
    assert (text.count("x"), text.count("word")) == (90, 30)
    assert "production" in text


def commands_of(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands_of(inner, (*words, name))


def test_every_number_of_every_command_is_in_digits() -> None:
    swept = 0
    for words, command in commands_of(get_command(app)):
        for option in command.params:
            if option.type_descriptor.annotation not in (int, float, int | None, float | None):
                continue
            swept += 1
            for text in ("1_0", "\u0661"):
                ended = CliRunner().invoke(app, [*words, option.opts[0], text])
                assert (ended.exit_code, f"{text!r} is not a number" in ended.output) == (2, True)
    assert swept > 5
