"""Where a body ends: chunks cut anywhere, and everything that is none."""

from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.web.http import body_framing
from windlass.web.http.body_framing import ChunkedBody, FramingError, SizedBody

chunks = st.lists(st.binary(min_size=1, max_size=20), max_size=5)
extensions = st.sampled_from([b"", b";a", b";a=b;c=d", b';a="b c"'])
trailers = st.sampled_from([b"", b"a: b\r\n", b"a: b\r\nc: d\r\n"])
cuts = st.lists(st.integers(0, 200), max_size=8)


def take(body: ChunkedBody | SizedBody, data: bytes, cut_at: list[int]) -> tuple[bytes, bytes]:
    """The content and the rest of data that comes in pieces."""
    content = rest = b""
    edges = sorted({0, len(data), *(cut for cut in cut_at if cut < len(data))})
    for start, stop in pairwise(edges):
        piece, behind = (b"", data[start:stop])
        if not body.is_complete:
            piece, behind = body.take(data[start:stop])
        content += piece
        rest += behind
    return content, rest


def framed(parts: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    lines = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts]
    return b"".join(lines) + b"0" + extension + b"\r\n" + trailer + b"\r\n"


@examples(300)
@given(chunks, extensions, trailers, st.binary(max_size=10), cuts)
def test_chunks_are_read_however_they_are_cut(
    parts: list[bytes], extension: bytes, trailer: bytes, rest: bytes, cut_at: list[int]
) -> None:
    body = ChunkedBody()
    assert take(body, framed(parts, extension, trailer) + rest, cut_at) == (b"".join(parts), rest)
    assert body.is_complete


@examples(100)
@given(st.binary(max_size=30), st.binary(max_size=10), cuts)
def test_a_length_is_read_however_it_is_cut(content: bytes, rest: bytes, cut_at: list[int]) -> None:
    body = SizedBody(len(content))
    assert take(body, content + rest, cut_at) == (content, rest)
    assert body.is_complete


@examples(1000)
@given(chunks, st.integers(0, 100), st.binary(max_size=3), cuts)
def test_nothing_is_taken_for_chunks_that_llhttp_refuses(
    parts: list[bytes], index: int, noise: bytes, cut_at: list[int]
) -> None:
    """Whoever is in front of this server, and reads strictly, sees the same requests."""
    data = framed(parts, b"", b"")
    data = data[:index] + noise + data[index + 1 :]
    body = ChunkedBody()
    try:
        content, _ = take(body, data, cut_at)
    except FramingError:
        return
    if body.is_complete:
        assert content == _by_llhttp(data)


def _by_llhttp(data: bytes) -> bytes:
    parts: list[bytes] = []

    class Callbacks:
        """What a parser calls; only the first message counts."""

        ended = False

        def on_body(self, part: bytes) -> None:
            if not self.ended:
                parts.append(part)

        def on_message_complete(self) -> None:
            self.ended = True

    callbacks = Callbacks()
    parser = httptools.HttpRequestParser(callbacks)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        parser.feed_data(data)
    except httptools.HttpParserError:
        assert callbacks.ended  # what follows the message may be anything
    return b"".join(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n", b"x\r\n", b"-1\r\n", b"0x1\r\nx\r\n", b"1\nx\r\n", b"1\r\nxy\r\n", b"1\r\nx\n\n", b"1\r\nx\r\r\n",
        b" 1\r\nx\r\n", b"f" * 16 + b"\r\n", b"1;\x00\r\nx\r\n", b"1" + b";" * 300, b"0\r\n\n", b"0\r\na: b\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 20_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut_at", [[], list(range(400))], ids=["whole", "bytes"])
def test_what_is_no_chunk(data: bytes, cut_at: list[int]) -> None:
    with pytest.raises(FramingError):
        take(ChunkedBody(), data, cut_at)


def test_a_body_of_too_many_chunks() -> None:
    most = b"1\r\nx\r\n" * body_framing.MAX_CHUNKS
    body = ChunkedBody()
    assert len(body.take(most)[0]) == body_framing.MAX_CHUNKS
    with pytest.raises(FramingError):
        body.take(b"1\r\nx\r\n")
