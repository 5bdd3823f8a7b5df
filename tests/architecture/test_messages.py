"""Messages count in English: `1 row`, `2 rows`; `counted` writes a number and its noun."""

import ast
import re

import pytest
from tests.support.paths import ROOT

from windlass.errors import counted

PACKAGE = ROOT / "src" / "windlass"
_PLURAL = re.compile(
    r"(?: (?:test|training|raw|quarantined|rejected))? (?:rows|cells|columns|values|states|events|entities"
    r"|versions|snapshots|labels|samples|files|parts|bundles|jobs|keys|workers|lines|classes|features|trees"
    r"|characters|predictions|decisions)\b"
)


def uncounted(tree: ast.AST) -> list[ast.JoinedStr]:
    """Texts with a computed number before a plural, which would be wrong of one."""
    return [
        text
        for text in ast.walk(tree)
        if isinstance(text, ast.JoinedStr)
        for number, words in zip(text.values, text.values[1:], strict=False)
        if isinstance(number, ast.FormattedValue)
        and isinstance(words, ast.Constant)
        and _PLURAL.match(str(words.value))
        and not _is_constant(number.value)
    ]


def _is_constant(value: ast.expr) -> bool:
    """Whether it is a limit, such as `MAX_IDS`, or the name of a type, and not a count of what happened."""
    name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
    return name.isupper() or name.startswith("max_") or name.endswith("type")


def test_no_message_says_1_rows() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{text.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in uncounted(ast.parse(path.read_text("utf-8")))
    ]
    assert wrong == []


def test_such_a_message_is_recognised() -> None:
    for text in ("f'{n} rows'", "f'{len(rows):,} rejected rows'", "f'{a} of {x.y} rows'"):
        assert uncounted(ast.parse(text))
    for text in ("f'{counted(n, \"row\")}'", "f'{MAX_IDS} rows'", "f'{name} row'"):
        assert not uncounted(ast.parse(text))


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2_000, "test row", "2,000 test rows"),
        (1, "entity", "1 entity"),
        (2, "entity", "2 entities"),
        (2, "key", "2 keys"),
        (3, "class", "3 classes"),
    ],
)
def test_counts(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text
