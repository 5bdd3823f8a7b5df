"""Tests inject waits, limits and clocks as arguments; they do not patch the constants of a module."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PATCHERS = frozenset({"setattr", "patch", "object"})  # of monkeypatch, and of unittest.mock
CLOCKS = frozenset({"monotonic", "perf_counter", "process_time", "sleep", "time"})
# What stays, by file and name, and why no argument takes its place.
ALLOWED = {
    "serving/test_logs.py:RATE_SECONDS": "the server is a process that the command starts, and no setting should"
    " exist for a test alone",
}

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*").fullmatch
_ASSIGNED = re.compile(r"\b[a-z_]\w*\.(_?[A-Z][A-Z0-9_]*) = ")  # in the source of another process


def patched(source: str) -> Iterator[str]:
    """The constants and clocks of modules that this source of a test replaces."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in PATCHERS:
                yield from filter(_is_fixed, map(_last_name, node.args[:2]))
            case ast.Attribute(attr=name, ctx=ast.Store()) if _CONSTANT(name):
                yield name
            case ast.Constant(value=str(text)):
                yield from _ASSIGNED.findall(text)


def _last_name(argument: ast.expr) -> str:
    match argument:
        case ast.Constant(value=str(text)):
            return text.rpartition(".")[2]
    return ""


def _is_fixed(name: str) -> bool:
    return name in CLOCKS or _CONSTANT(name) is not None


@cache
def patches() -> frozenset[str]:
    return frozenset(
        f"{path.relative_to(TESTS).as_posix()}:{name}"
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
        for name in patched(path.read_text("utf-8"))
    )


def test_no_constant_is_patched() -> None:
    assert sorted(patches() - ALLOWED.keys()) == []


def test_what_is_allowed_is_still_patched() -> None:
    assert sorted(ALLOWED.keys() - patches()) == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('monkeypatch.setattr(ledger, "SEGMENT_SECONDS", 0.0)', ["SEGMENT_SECONDS"]),
        ('patch.setattr("windlass.web.streaming._STALL", 0.1)', ["_STALL"]),
        ('mock.patch("windlass.logs.FLUSH_SECONDS", 1)', ["FLUSH_SECONDS"]),
        ('mock.patch.object(logs, "FLUSH_SECONDS", 1)', ["FLUSH_SECONDS"]),
        ('monkeypatch.setattr(authentication, "monotonic", lambda: 0.0)', ["monotonic"]),
        ("logs.FLUSH_SECONDS = 1", ["FLUSH_SECONDS"]),
        ('run("from windlass import app\\napp.RATE_SECONDS = 1")', ["RATE_SECONDS"]),
        ('monkeypatch.setattr(registry, "fetch", broken)', []),
        ('monkeypatch.setattr("sys.stderr", stream)', []),
        ('monkeypatch.setenv("WINDLASS_HOME", home)', []),
    ],
)
def test_patches_are_recognised(source: str, names: list[str]) -> None:
    assert list(patched(source)) == names
