"""Reads JSON bodies a piece at a time: no step builds more than a piece, whatever the body holds.

Parsing a whole body of 60 MB at once would take gigabytes, and hold the interpreter for seconds.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import orjson

from windlass.web.problems import Problem, malformed

PIECE_BYTES = 1 << 18  # parsed at a time; no item of a body is longer
MAX_MEMBERS = 10_000  # of an object that is read member by member
MAX_DEPTH = 1024  # of arrays and objects; orjson reads no deeper

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_spaces = re.compile(_SPACE).match
_string = re.compile(_STRING, re.DOTALL).match
_name = re.compile(b"(%b)%b:" % (_STRING, _SPACE), re.DOTALL).match
_scalar = re.compile(rb"[^ \t\n\r,\]}]++").match
# the next of these bytes that is not in a string
_TOKEN = rb'[^"%b]*+(?:%b[^"%b]*+)*+[%b]'
_BRACKETS = rb"\[\]{}"
_bracket = re.compile(_TOKEN % (_BRACKETS, _STRING, _BRACKETS, _BRACKETS), re.DOTALL).match
_SEPARATORS = rb"\[\]{},"
_separator = re.compile(_TOKEN % (_SEPARATORS, _STRING, _SEPARATORS, _SEPARATORS), re.DOTALL).match
_CLOSING = {b"{": b"}", b"[": b"]"}
_OPEN, _CLOSE, _COMMA = b"[{", b"]}", b","


class JsonReader:
    """Walks through a JSON text; `at` is the position, which every method moves behind what it has read.

    Raises Problem 400 where the text is not JSON, and 413 where an item is longer than a piece.
    """

    def __init__(self, text: bytes, piece: int = PIECE_BYTES) -> None:
        self.at = 0
        self._text = text
        self._piece = max(piece, PIECE_BYTES)

    def peek(self) -> bytes:
        """Returns the first byte of what comes next; empty at the end."""
        while True:
            spaces = _spaces(self._text, self.at, self.at + self._piece)
            assert spaces is not None
            self.at = spaces.end()
            if self.at - spaces.start() < self._piece:
                return self._text[self.at : self.at + 1]

    def members(self) -> Iterator[str]:
        """Yields the names of the object that comes next; the caller reads each value before the next name.

        Raises Problem 400 for a name that comes twice: readers differ in which of both counts.
        """
        self._take(b"{")
        if self.peek() == b"}":
            self.at += 1
            return
        names = set[str]()
        while len(names) < MAX_MEMBERS:
            name = self._next_name()
            if name in names:
                raise malformed("An object of the body has a member twice. Name each member once.")
            names.add(name)
            yield name
            if self._is_end(b"}"):
                return
        raise Problem(413, f"An object of the body has more than {MAX_MEMBERS} members.")

    def _next_name(self) -> str:
        self.peek()
        match = _name(self._text, self.at, self.at + self._piece)
        if match is None:
            raise _not_json()
        self.at = match.end()
        name: str = _loads(match[1])
        return name

    def items(self) -> Iterator[int]:
        """Yields the index of each item of the array that comes next; the caller reads the item."""
        self._take(b"[")
        if self.peek() == b"]":
            self.at += 1
            return
        index = 0
        while True:
            yield index
            if self._is_end(b"]"):
                return
            index += 1

    def elements(self) -> Iterator[list[Any]]:
        """Yields the items of the array that comes next, as many at a time as a piece holds."""
        return (values for _, values in self.pieces())

    def any_value(self) -> Any:
        """Builds the value that comes next; an array may be as long as the body."""
        if self.peek() == b"[":
            return list(chain.from_iterable(self.elements()))
        return self.value()

    def pieces(self) -> Iterator[tuple[bytes, list[Any]]]:
        """Yields the items of the array that comes next a piece at a time: as an array in JSON, and built."""
        self._take(b"[")
        if self.peek() == b"]":
            self.at += 1
            return
        while True:
            text, values = self._next_piece()
            is_last = self._text[self.at] == _CLOSE[0]
            self.at += 1
            yield text, values
            if is_last:
                return

    def value(self) -> Any:
        """Builds the value that comes next, of at most a piece."""
        first, start = self.peek(), self.at
        if first in _CLOSING:
            end = self._end_of_nested()
        else:
            match = (_string if first == b'"' else _scalar)(self._text, start, start + self._piece)
            end = start if match is None else match.end()
        value = _loads(self._text[start:end])
        self.at = end
        return value

    def end(self) -> None:
        """Raises Problem 400 where anything is left."""
        if self.peek():
            raise _not_json()

    def _take(self, byte: bytes) -> None:
        if self.peek() != byte:
            raise _not_json()
        self.at += 1

    def _is_end(self, closing: bytes) -> bool:
        byte = self.peek()
        if byte not in (_COMMA, closing):
            raise _not_json()
        self.at += 1
        return byte == closing

    def _next_piece(self) -> tuple[bytes, list[Any]]:
        """Builds the items up to a comma between two of them, or to the end of the array; moves there.

        The place is guessed first, which is much faster. Text that ends inside a string or an item is not JSON, so
        that a wrong guess does not parse.
        """
        self.peek()
        start, cut = self.at, self._guess()
        text = b"[%b]" % self._text[start:cut]
        values = _parse(text) if cut > start else None
        if values is None:
            cut = self._cut()
            text = b"[%b]" % self._text[start:cut]
            values = _parse(text)
        if not values:
            raise _not_json()
        self.at = cut
        return text, values

    def _guess(self) -> int:
        """Returns where this piece probably ends; -1 for nowhere."""
        text, start, stop = self._text, self.at, self.at + self._piece
        first = self.peek()
        closing = _CLOSING.get(first, b"")
        if not closing and first != b'"':  # numbers, among which is no bracket
            end = text.find(b"]", start, stop)
            return text.rfind(_COMMA, start, stop) if end < 0 else end
        if len(text) <= stop:
            return text.rfind(b"]", start)
        comma = text.rfind((closing or first) + _COMMA, start, stop)
        return comma if comma < 0 else comma + 1

    def _cut(self) -> int:
        """Returns the end of the array, or the last comma of this piece that stands between two items."""
        text, stop = self._text, self.at + self._piece
        position, depth, comma = self.at, 0, -1
        while (token := (_bracket if depth else _separator)(text, position, stop)) is not None:
            position = token.end()
            byte = text[position - 1]
            if byte == _COMMA[0]:
                comma = position - 1
            elif byte in _OPEN:
                depth = _deeper(depth)
            elif depth:
                depth -= 1
            elif byte == _CLOSE[0]:
                return position - 1
            else:
                raise _not_json()
        if comma < 0:
            raise self._too_long()
        return comma

    def _end_of_nested(self) -> int:
        position, depth, stop = self.at, 0, self.at + self._piece
        while (token := _bracket(self._text, position, stop)) is not None:
            position = token.end()
            depth = _deeper(depth) if self._text[position - 1] in _OPEN else depth - 1
            if not depth:
                return position
        raise self._too_long()

    def _too_long(self) -> Problem:
        if self.at + self._piece >= len(self._text):
            return _not_json()  # the text has ended
        detail = f"An item of the body is longer than {self._piece} bytes, the limit of one row."
        return Problem(413, f"{detail} Correct the body, or send less at a time.")


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise malformed("The body is nested too deeply.")
    return depth + 1


def _parse(text: bytes) -> list[Any] | None:
    try:
        values: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return values


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _not_json() from None


def _not_json() -> Problem:
    return malformed("The body is not valid JSON.")
