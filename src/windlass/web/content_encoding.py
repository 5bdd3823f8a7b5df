"""Decodes `Content-Encoding` of request bodies: gzip and deflate, with the limit applied to what comes out."""

import zlib
from collections.abc import Callable

from windlass.web.problems import Problem, malformed

ENCODINGS = (b"gzip", b"deflate")
_ALIASES = {b"x-gzip": b"gzip", b"": b"identity"}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_ZLIB_WINDOW = zlib.MAX_WBITS
_RAW_WINDOW = -zlib.MAX_WBITS

Decoder = Callable[[bytes, int], bytes | None]


def decoder(encoding: bytes) -> Decoder | None:
    """Returns the decoder of this value of the header; None where nothing is to be decoded.

    A decoder takes the body and a limit, and returns None where more than `limit` bytes come out; it raises
    Problem 400. Raises Problem 415 for other encodings.
    """
    name = encoding.strip().lower()
    match _ALIASES.get(name, name):
        case b"identity":
            return None
        case b"gzip":
            return _decode_gzip
        case b"deflate":
            return _decode_deflate
    accepted = b", ".join(ENCODINGS)
    detail = f"This content encoding is not supported. Use one of: {accepted.decode()}."
    raise Problem(415, detail, headers=[(b"accept-encoding", accepted)])


def _decode_gzip(content: bytes, limit: int) -> bytes | None:
    return _decode(content, _GZIP_WINDOW, limit, "gzip")


def _decode_deflate(content: bytes, limit: int) -> bytes | None:
    """Decodes a zlib stream, or one of bare deflate, which some clients send."""
    is_zlib = len(content) > 1 and content[0] & 15 == 8 and not (content[0] << 8 | content[1]) % 31
    return _decode(content, _ZLIB_WINDOW if is_zlib else _RAW_WINDOW, limit, "deflate")


def _decode(content: bytes, window: int, limit: int, name: str) -> bytes | None:
    """Decodes one stream, which is the whole body. Raises Problem 400."""
    stream = zlib.decompressobj(window)
    try:
        decoded = stream.decompress(content, limit + 1)
    except zlib.error:
        raise _invalid(name) from None
    if len(decoded) > limit:
        return None
    if not stream.eof or stream.unused_data:
        raise _invalid(name)
    return decoded


def _invalid(name: str) -> Problem:
    return malformed(f"The body is not valid {name}, as its Content-Encoding says.")
