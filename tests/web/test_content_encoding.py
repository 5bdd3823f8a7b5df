"""Request bodies with a content encoding: the limit applies to what comes out."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from windlass.web.content_encoding import decoder
from windlass.web.problems import Problem

TEXT = b'{"sepal_length": 5.1}' * 100


def bare_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


ENCODERS = [
    (b"gzip", gzip.compress),
    (b"X-GZip", gzip.compress),
    (b"deflate", zlib.compress),
    (b" Deflate ", bare_deflate),
]


def decode(name: bytes, content: bytes, limit: int) -> bytes | None:
    decode = decoder(name)
    assert decode is not None
    return decode(content, limit)


@pytest.mark.parametrize(("name", "encode"), ENCODERS)
def test_what_was_encoded_comes_out(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    assert decode(name, encode(TEXT), len(TEXT)) == TEXT
    assert decode(name, encode(TEXT), len(TEXT) - 1) is None
    assert decode(name, encode(b""), 0) == b""


@pytest.mark.parametrize(("name", "encode"), ENCODERS)
def test_what_is_not_so_encoded_is_malformed(name: bytes, encode: Callable[[bytes], bytes]) -> None:
    whole = encode(TEXT)
    for content in (b"", TEXT, whole[:-1], whole[:9], whole + b"x", whole + whole):
        with pytest.raises(Problem) as refusal:
            decode(name, content, 1 << 20)
        assert refusal.value.status == 400


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(100 << 20), 9)
    assert decode(b"gzip", bomb, 1 << 16) is None


@pytest.mark.parametrize("name", [b"", b"identity", b"IDENTITY"])
def test_nothing_to_decode(name: bytes) -> None:
    assert decoder(name) is None


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip", b"gzip;q=1", b"\xff"])
def test_another_encoding_is_refused_by_name_of_those_that_are_read(name: bytes) -> None:
    with pytest.raises(Problem) as refusal:
        decoder(name)
    assert refusal.value.status == 415
    assert dict(refusal.value.headers)[b"accept-encoding"] == b"gzip, deflate"
