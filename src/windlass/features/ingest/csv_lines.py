"""The lines of a CSV file, a record each: a line that a reader would misread is exchanged for one that it skips."""

import re
from collections import deque
from io import RawIOBase
from typing import BinaryIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from windlass.errors import FeatureError

_END = r"\r\n?|\n"
_QUOTED = r'"(?:[^"]|"")*"(?:[^",][^,]*)?'
_OPEN = f'^(?:(?:{_QUOTED}|[^",][^,]*|),)*"(?:[^"]|"")*$'
_TEXT_IN_QUOTES = re.compile(rb'(?:^|(?<=,))"(?:[^"]|"")*+"')


class SanitisingCsvReader(RawIOBase):
    """A CSV file of `cells` cells a line, read by whole lines, about `block` bytes at once.

    Where a line opens a quote and does not close it, or is not UTF-8 and has too many or too few cells, a
    line with too many cells stands in its place: its text is `mark`, and what stood there is next in `spoilt`.
    """

    def __init__(self, file: BinaryIO, cells: int, block: int) -> None:
        super().__init__()
        self.mark = uuid4().hex + "," * cells
        self.spoilt: deque[str] = deque()
        self._file = file
        self._cells = cells
        self._block = block
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, none at the end. Raises FeatureError for a line longer than a block."""
        if not self._ready:
            self._ready = memoryview(self._mended(self._whole_lines()))
        size = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:size], self._ready[size:]
        return bytes(taken)

    def _whole_lines(self) -> bytes:
        read = self._file.read(self._block)
        text = self._rest + read
        # a carriage return at the very end may be half of a line's end
        end = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1 if read else len(text)
        if not end and len(text) >= 2 * self._block:
            raise FeatureError(
                f"A line is longer than {self._block:,} bytes. See whether it is a CSV file, a record a line."
            )
        self._rest = text[end:]
        return text[:end] if end or not read else self._whole_lines()

    def _mended(self, text: bytes) -> bytes:
        readable = _is_utf8(text)
        if readable and b'"' not in text:
            return text
        lines = pc.split_pattern_regex(pa.array([text]), _END).values
        bad = set(pc.indices_nonzero(pc.match_substring_regex(lines, _OPEN)).to_pylist())
        if not readable:
            bad.update(n for n, line in enumerate(lines.to_pylist()) if self._is_unreadable(line))
        if not bad:
            return text
        return b"\n".join(
            self._exchanged(line) if number in bad else line
            for number, line in enumerate(lines.to_pylist())
        )

    def _is_unreadable(self, line: bytes) -> bool:
        """Whether a line is not UTF-8 and no row: of such a line the reader could not say what it is."""
        separators = _TEXT_IN_QUOTES.sub(b"", line).count(b",")
        return separators + 1 != self._cells and not _is_utf8(line)

    def _exchanged(self, line: bytes) -> bytes:
        self.spoilt.append(line.decode(errors="backslashreplace"))
        return self.mark.encode()


def leaves_quote_open(line: str) -> bool:
    """Whether a line opens a quote that it does not close."""
    return bool(pc.match_substring_regex(pa.scalar(line), _OPEN).as_py())


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
