"""What all commands share: every end is a code and at most one line."""

import os

import pytest

from windlass.cli.console import DONE, REFUSED, guarded
from windlass.errors import DataError


def test_an_end_is_a_code_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise DataError("no\nrows")

    def fail() -> None:
        raise ZeroDivisionError("oops")

    assert guarded(lambda: None) == DONE
    assert guarded(refuse) == REFUSED
    assert guarded(fail) == REFUSED
    first, second = capsys.readouterr().err.splitlines()
    assert first == "windlass: no rows"
    assert second.startswith("windlass: Unexpected ZeroDivisionError: oops (test_console.py, line")


def test_a_reader_that_has_gone_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        raise BrokenPipeError

    with open(os.devnull, "w") as stream:  # noqa: PTH123 - closed by what is tested
        monkeypatch.setattr("sys.stderr", stream)
        assert guarded(write) == REFUSED
        assert stream.closed
