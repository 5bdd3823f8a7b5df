"""Heads of requests: what is read from them, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.web.request_head import HeadError, ParsedHead, parse_head

LINES = [
    *(b"GET /predict/1 HTTP/1.1", b"POST /predict/2 HTTP/1.1", b"POST /predict/2 HTTP/1.0"),
    *(b"GET / HTTP/1.1", b"GET //predict/1 HTTP/1.1", b"GET /a?version=v1 HTTP/1.1", b"GET /a%20b HTTP/1.1"),
    *(b"HEAD /a HTTP/1.1", b"GET a HTTP/1.1", b"GET http://x/a HTTP/1.1", b"GET  /a HTTP/1.1", b"GET /a HTTP/1.1 "),
    *(b"GET /a\xff HTTP/1.1", b"get /a HTTP/1.1", b"GET /a/../b;c=d HTTP/1.1", b"CONNECT a:1 HTTP/1.1"),
]  # fmt: skip
FIELDS = [
    [],
    [b"Host: x"],
    [b"Host: x", b"Content-Length: 3"],
    [b"Host: x", b"Content-Length: 3", b"Connection: close"],
    [b"Host: x", b"Transfer-Encoding: chunked"],
    [b"Host: x", b"Expect: 100-continue", b"X-Request-ID: mine", b"Accept: text/csv"],
    [b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c"],
]


def head(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line, *headers, b"\r\n"])


def test_what_handlers_read() -> None:
    parsed = parse_head(
        head(
            b"POST /models/a%20b?version=v1&x= HTTP/1.1",
            b"Host: localhost",
            b"CONTENT-TYPE: application/json",
            b"Accept:  text/csv ",
            b"Content-Encoding: gzip",
            b"X-Request-ID: mine",
            b"Content-Length: 12",
        )
    )
    read = parsed.head
    assert (read.method, read.path, read.query_string) == ("POST", "/models/a b", b"version=v1&x=")
    assert (read.content_type, read.accept) == (b"application/json", b"text/csv")
    assert (read.content_encoding, read.request_id, read.content_length) == (b"gzip", b"mine", 12)
    assert read.header(b"host") == b"localhost"
    assert read.header(b"origin") is None
    assert (parsed.raw_path, parsed.body_length) == (b"/models/a%20b", 12)


@pytest.mark.parametrize("identity", [b"a b", b"", b"x" * 129, b"\xff", b'"'])
def test_a_request_id_that_is_not_sane(identity: bytes) -> None:
    parsed = parse_head(head(b"GET / HTTP/1.1", b"Host: x", b"X-Request-ID: " + identity))
    assert parsed.head.request_id == b""


@pytest.mark.parametrize(
    ("line", "headers", "keeps_alive"),
    [
        (b"GET / HTTP/1.1", [], True),
        (b"GET / HTTP/1.1", [b"Connection: keep-alive"], True),
        (b"GET / HTTP/1.1", [b"Connection: close"], False),
        (b"GET / HTTP/1.1", [b"connection: Upgrade, CLOSE"], False),
        (b"GET / HTTP/1.0", [], False),
        (b"GET / HTTP/1.0", [b"Connection: keep-alive"], False),
    ],
)
def test_whether_the_connection_goes_on(
    line: bytes, headers: list[bytes], keeps_alive: bool
) -> None:
    assert parse_head(head(line, b"Host: x", *headers)).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"//a", "//a"),
        (b"http://other/path?q", "/path"),
        (b"http://other", "/"),
        (b"/%c3%a9", "/\u00e9"),
        (b"*", "*"),
    ],
)
def test_targets(target: bytes, path: str) -> None:
    assert parse_head(head(b"OPTIONS %b HTTP/1.1" % target, b"Host: x")).head.path == path


@pytest.mark.parametrize(
    "data",
    [
        head(b"GET / HTTP/1.1"),
        head(b"GET / HTTP/2.0", b"Host: x"),
        head(b"GET / HTTP/1.2", b"Host: x"),
        head(b"get / HTTP/1.1", b"Host: x"),
        head(b"GET /\x00 HTTP/1.1", b"Host: x"),
        head(b"GET /\xff HTTP/1.1", b"Host: x"),
        head(b"GET", b"Host: x"),
        head(b"CONNECT x:80 HTTP/1.1", b"Host: x"),
        head(b"GET / HTTP/1.1", b"Host: x", b"a b: c"),
        head(b"GET / HTTP/1.1", b"Host: x", b"a: b\x00"),
        head(b"GET / HTTP/1.1", b"Host: x", b"a: b\rc: d"),
        head(b"GET / HTTP/1.1\nHost: x"),
        head(b"GET / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", b"Content-Length: 1"),
        head(b"GET / HTTP/1.0", b"Host: x", b"Transfer-Encoding: chunked"),
        head(b"GET / HTTP/1.1", b"Host: x", b"Transfer-Encoding:"),
    ],
)
def test_heads_that_are_not_http(data: bytes) -> None:
    with pytest.raises(HeadError) as refused:
        parse_head(data)
    assert refused.value.status in (400, 501)


def test_an_expectation() -> None:
    assert parse_head(
        head(b"POST / HTTP/1.1", b"Host: x", b"Expect: 100-Continue")
    ).expects_continue
    assert not parse_head(head(b"POST / HTTP/1.1", b"Host: x", b"Expect: x")).expects_continue


def outcome_of(data: bytes, last: ParsedHead | None) -> tuple[ParsedHead | None, object]:
    """What is read from a head, beside it; or why it is refused."""
    try:
        parsed = parse_head(data, last)
    except HeadError as error:
        return None, (error.status, error.detail)
    of_head = [getattr(parsed.head, name) for name in parsed.head.__slots__]
    of_parsed = [getattr(parsed, name) for name in parsed.__slots__ if name != "head"]
    return parsed, (of_head, of_parsed)


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(FIELDS)), min_size=2, max_size=6))
def test_a_head_is_read_alike_whatever_came_before_it(
    heads: list[tuple[bytes, list[bytes]]],
) -> None:
    last = None
    for line, fields in heads:
        data = head(line, *fields)
        parsed, outcome = outcome_of(data, last)
        assert outcome == outcome_of(data, None)[1]
        last = parsed


def test_equal_headers_are_not_parsed_again() -> None:
    first = parse_head(head(b"POST /predict/1 HTTP/1.1", b"Host: x"))
    second = parse_head(head(b"POST /predict/2 HTTP/1.1", b"Host: x"), first)
    assert second.head.headers is first.head.headers
    assert (second.head.path, first.head.path) == ("/predict/2", "/predict/1")
