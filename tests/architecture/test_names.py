"""Names and docstrings of the package: the field's words, and one sentence first; few modules are small.

Names in tests are of the field too.

`allowed_names.txt` lists what is not yet as it should be, one offence a line. Take lines out, add none.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.support.paths import ROOT

PACKAGE = ROOT / "src" / "windlass"
ALLOWED = Path(__file__).with_name("allowed_names.txt")
MAX_SUMMARY = 120  # characters
SMALL, MAX_SMALL = 60, 25  # lines of a small module at most; how many of them there may be

# Words of our own, which nobody knows from other tools, as any word of a name.
PRIVATE = frozenset(
    [
        "aside",
        "asked",
        "attending",
        "attended",
        "chapter",
        "companion",
        "crew",
        "dealt",
        "desk",
        "earlier",
        "folk",
        "follower",
        "following",
        "gathering",
        "golden",
        "hands",
        "judged",
        "judgement",
        "judging",
        "lack",
        "lent",
        "oddity",
        "office",
        "patience",
        "remembered",
        "shelf",
        "shelved",
        "shown",
        "stakes",
        "standing",
        "tell",
        "told",
        "untold",
        "way",
        "why",
    ]
)
# Names of locals, arguments and attributes that say nothing of what they hold.
VAGUE = frozenset(
    [
        "assembly",
        "at_hand",
        "found",
        "in_common",
        "kept",
        "known",
        "link",
        "made",
        "moment",
        "one",
        "others",
        "place",
        "places",
        "subject",
    ]
)
PREFIXES = ("most_", "least_", "refuse_")
FIXED = frozenset({"GOLDEN"})  # the file golden.json, of bundles
# Those of the private words that plain English sentences do not need either.
UNSAID = PRIVATE - {"asked", "earlier", "following", "shown", "standing", "way", "why"}

# Phrases in texts of the package that are not English, or say nothing: "7.5 is no whole number", "ask anew".
_UNCLEAR = re.compile(
    r"(?<!here )\bis no (?!longer\b|more\b)|\banew\b|\bthat is none\b|\bwithout a word\b"
    r"|\bmakes? (?:some|\w+s) up\b|\b(?:is|be) away\b"
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SENTENCE_END = re.compile(r"[.!?]\s+(?!Raises)[A-Z]")


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax tree of each file of the package, by its path in there."""
    return {
        file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text("utf-8"))
        for file in sorted(PACKAGE.rglob("*.py"))
    }


def bound(tree: ast.AST) -> Iterator[str]:
    """Every name that is given in this tree: of functions, classes, arguments, variables, attributes, imports."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.alias(asname=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name


def is_private(name: str) -> bool:
    """Whether a name is not of the field."""
    bare = name.strip("_")
    words = {word.lower() for word in _WORD.findall(bare)}
    return bare not in FIXED and (
        bare.lower() in VAGUE or bool(words & PRIVATE) or bare.lower().startswith(PREFIXES)
    )


def documented(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """The public module, classes and functions of a file with their docstrings; those in functions are not."""
    yield "module", ast.get_docstring(tree)
    bodies = [tree.body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if node.name.startswith("_") or _is_variant(node):
                    continue
                yield node.name, ast.get_docstring(node)
                if isinstance(node, ast.ClassDef):
                    bodies.append(node.body)


def _is_variant(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a function is an overload, a setter, or says `override`, and so needs no docstring of its own."""
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    return bool(marks & {"overload", "setter", "override"})


def names() -> set[str]:
    """Private words in names of files, and in names that code gives."""
    files = {
        f"{path}:{word}" for path in trees() for word in path[:-3].split("/") if is_private(word)
    }
    return files | {
        f"{path}:{name}"
        for path, tree in trees().items()
        for name in bound(tree)
        if is_private(name)
    }


def summaries() -> set[str]:
    """First lines of docstrings that are missing, too long, not one sentence (and what it raises), or not plain."""
    return {
        f"{path}:{name} docstring"
        for path, tree in trees().items()
        for name, text in documented(tree)
        if not _is_plain(text)
    }


def _is_plain(text: str | None) -> bool:
    if not text:
        return False
    first = text.splitlines()[0].strip()
    words = {word.lower() for word in _WORD.findall(re.sub(r"`[^`]*`", "", first))}
    is_one = first.endswith((".", ":", "?")) and not _SENTENCE_END.search(first)
    return is_one and len(first) <= MAX_SUMMARY and not words & UNSAID


@pytest.mark.parametrize("offences", [names, summaries])
def test_nothing_is_named_or_described_in_private_words(
    offences: Callable[[], set[str]],
) -> None:
    allowed = set(ALLOWED.read_text("utf-8").splitlines())
    assert sorted(offences() - allowed) == []


def test_tests_give_no_private_names() -> None:
    tests = ROOT / "tests"
    private = [
        f"{path.relative_to(tests)}:{name}"
        for path in sorted(tests.rglob("*.py"))
        for name in (path.stem, *bound(ast.parse(path.read_text("utf-8"))))
        if is_private(name)
    ]
    assert private == []


def test_texts_have_no_unclear_phrases() -> None:
    unclear = [
        f"{path}:{node.lineno}: {phrase[0]}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for phrase in _UNCLEAR.finditer(" ".join(node.value.split()))
    ]
    assert unclear == []


@pytest.mark.parametrize("text", ["7.5 is no whole number", "build anew", "the database is away"])
def test_unclear_phrases_are_recognised(text: str) -> None:
    assert _UNCLEAR.search(text)


@pytest.mark.parametrize("text", ["There is no such job.", "It is no longer there.", "away"])
def test_clear_phrases_are_allowed(text: str) -> None:
    assert not _UNCLEAR.search(text)


def test_small_modules_are_few() -> None:
    small = [
        path
        for path in trees()
        if not path.endswith("__init__.py")
        and len((PACKAGE / path).read_text("utf-8").splitlines()) <= SMALL
    ]
    assert len(small) <= MAX_SMALL, small


def test_what_is_allowed_is_in_order_and_still_needed() -> None:
    lines = ALLOWED.read_text("utf-8").splitlines()
    assert sorted(set(lines) - names() - summaries()) == []
    assert lines == sorted(set(lines))
