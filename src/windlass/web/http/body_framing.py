"""Framing of request bodies: where a body ends that has a length, or comes in chunks (RFC 9112, sections 6 and 7)."""

import re
from typing import Protocol

MAX_CHUNK_LINE = 256  # bytes of a chunk's size and extensions
MAX_CHUNKS = 100_000  # of one body: each costs time, whatever it holds
MAX_TRAILERS = 64 << 10  # bytes; they are ignored

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_chunk_size = re.compile(
    rb'([0-9A-Fa-f]{1,15})(?:;%b(?:=(?:%b|"[ !#-\[\]-~]*"))?)*\r\n' % (_TOKEN, _TOKEN)
).fullmatch
_is_trailer = re.compile(rb"(?:%b:[\t -~\x80-\xff]*)?\r\n" % _TOKEN).fullmatch
# what may follow a chunk's bytes: all of a line break or its beginning; its end where the beginning came before
_LINE_BREAKS = ((b"\r\n", b"\r"), (b"\n",))


class FramingError(Exception):
    """A body that is not framed as HTTP/1.1 has it."""


class BodyFraming(Protocol):
    """Takes a body out of the bytes of a connection. `is_complete` once all of it was taken."""

    is_complete: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns what `data` holds of the body, and what follows the body. Raises FramingError."""


class SizedBody:
    """A body of a declared length. `left` is the number of bytes still to come."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.is_complete = not length

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns what `data` holds of the body, and what follows the body."""
        content, rest = (
            (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
        )
        self.left -= len(content)
        self.is_complete = not self.left
        return content, rest


class ChunkedBody:
    """A body in chunks; their extensions and the trailers are ignored, within bounds."""

    def __init__(self) -> None:
        self.is_complete = False
        self._line = b""  # the beginning of a line whose end has not come
        self._left = 0  # bytes of the chunk, with the line break behind it
        self._is_last = False
        self._chunks = self._trailers = 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns what `data` holds of the body, and what follows the body. Raises FramingError."""
        parts: list[bytes] = []
        position = 0
        while position < len(data) and not self.is_complete:
            position = (
                self._take_chunk(data, position, parts)
                if self._left
                else self._take_line(data, position)
            )
        return b"".join(parts), data[position:]

    def _take_chunk(self, data: bytes, position: int, parts: list[bytes]) -> int:
        """Takes a piece of a chunk, of which the last two bytes are a line break."""
        piece = data[position : position + self._left]
        size = self._left - 2  # of the chunk's bytes that are left
        parts.append(piece[: max(size, 0)])
        if len(piece) > size and piece[max(size, 0) :] not in _LINE_BREAKS[max(-size, 0)]:
            raise FramingError("A chunk is longer than its size.")
        self._left -= len(piece)
        return position + len(piece)

    def _take_line(self, data: bytes, position: int) -> int:
        """Takes a line, or the beginning of one: the size of a chunk, or a trailer."""
        end = data.find(b"\n", position) + 1
        self._line += data[position : end or len(data)]
        if len(self._line) > (MAX_TRAILERS if self._is_last else MAX_CHUNK_LINE):
            raise FramingError("A line between chunks is too long.")
        if not end:
            return len(data)
        line, self._line = self._line, b""
        if self._is_last:
            self._take_trailer(line)
        else:
            self._begin_chunk(line)
        return end

    def _begin_chunk(self, line: bytes) -> None:
        size = _chunk_size(line)
        if size is None:
            raise FramingError("A chunk has no size.")
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise FramingError("The body has too many chunks.")
        length = int(size[1], 16)
        self._left = length + 2 if length else 0
        self._is_last = not length

    def _take_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS or not _is_trailer(line):
            raise FramingError("What follows the last chunk is too long, or no trailer.")
        self.is_complete = line == b"\r\n"
