"""Finds members that a JSON object has twice: readers differ in which of both counts, so neither does."""

import json
import re
from typing import Any

import orjson

_strings = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class RepeatedMemberError(ValueError):
    """An object has a member twice: its name, and the index of the object where the text is an array of objects."""

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name)
        self.name = name
        self.index = index


def require_single_members(text: bytes) -> None:
    """Raises RepeatedMemberError where an object of a JSON text, at any depth, has a member twice."""
    index = -1

    def check(pairs: list[tuple[str, Any]]) -> None:
        nonlocal index
        index += 1
        names = set[str]()
        for name, _ in pairs:
            if name in names:
                raise RepeatedMemberError(name, index)
            names.add(name)

    json.loads(text, object_pairs_hook=check)


def require_single_members_of_rows(text: bytes, members: int | None) -> None:
    """Does the same for flat rows that were parsed already; much faster.

    Every member has one colon outside strings, so that none comes twice where as many members were parsed. `members`
    is their number, without defaults; None where it is not known.
    """
    if members is None:
        members = _count_members(text)
    if text.count(b":") != members and _strings.sub(b"", text).count(b":") != members:
        require_single_members(text)


def _count_members(text: bytes) -> int:
    value = orjson.loads(text)
    rows = value if isinstance(value, list) else [value]
    return sum(len(row) for row in rows if isinstance(row, dict))
