"""Line and headers of a request, as its handlers read them; and the parser of an HTTP/1.1 head."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import httptools

Headers = Sequence[tuple[bytes, bytes]]

_is_sane_id = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch
# a request line that needs no decoding
_match_plain_line = re.compile(rb"(GET|POST) (/(?!/)[A-Za-z0-9._~/-]*) HTTP/1\.1\r\n").match


class HeadError(Exception):
    """A head that is not answered by a handler: the status and the reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class RequestHead:
    """Method, target and headers of a request; what handlers often need is picked from the headers.

    `encoded_path` is the path before decoding where it has percent signs, else empty. Names of headers are in lower
    case. `request_id` is the caller's, and empty where it is not sane.
    A connection gives one head to all requests that send the same bytes, so nothing of one request is kept here.
    """

    __slots__ = (
        "accept", "content_encoding", "content_length", "content_type", "credentials", "encoded_path", "headers",
        "method", "path", "query_string", "request_id",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query_string: bytes,
        headers: Headers,
        encoded_path: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.encoded_path = encoded_path
        self.query_string = query_string
        self.headers = headers
        self.content_type = self.content_encoding = self.accept = self.request_id = b""
        self.content_length = -1
        self.credentials: object = None  # what the authenticator has read from the headers
        for name, value in headers:
            if name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.content_length = int(value)
            elif name == b"accept":
                self.accept = value
            elif name == b"content-encoding":
                self.content_encoding = value
            elif name == b"x-request-id" and _is_sane_id(value):
                self.request_id = value

    def at_path(self, method: str, path: str) -> "RequestHead":
        """Returns a head with the same headers for another path, without a query."""
        head = RequestHead.__new__(RequestHead)
        head.method, head.path, head.query_string = method, path, b""
        head.encoded_path = ""
        head.headers, head.credentials, head.request_id = (
            self.headers, self.credentials, self.request_id,
        )  # fmt: skip
        head.content_type, head.content_encoding, head.content_length, head.accept = (
            self.content_type, self.content_encoding, self.content_length, self.accept,
        )  # fmt: skip
        return head

    @classmethod
    def from_scope(cls, scope: dict[str, Any]) -> "RequestHead":
        """Reads an ASGI scope."""
        raw_path = scope.get("raw_path") or b""
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"],
            scope["headers"],
            raw_path.decode("ascii") if b"%" in raw_path else "",
        )

    def header(self, name: bytes) -> bytes | None:
        """Returns the first header of this lower-case name."""
        for key, value in self.headers:
            if key == name:
                return bytes(value)
        return None


class ParsedHead:
    """A request's head and what HTTP needs of it: how its body is framed, and whether the connection goes on.

    `body_length` is in bytes; None for a body in chunks. `fields` are the bytes after the request line.
    """

    __slots__ = (
        "body_length", "expects_continue", "fields", "head", "http_version", "keeps_alive", "raw_path",
    )  # fmt: skip

    def __init__(
        self, method: str, target: bytes, headers: Headers, http_version: str, *, keeps_alive: bool
    ) -> None:
        names = [name for name, _ in headers]
        self.fields = b""
        self.raw_path, query = _split_target(target)
        path = self.raw_path.decode("ascii")
        if "%" in path:
            self.head = RequestHead(method, unquote(path), query, headers, path)
        else:
            self.head = RequestHead(method, path, query, headers)
        self.http_version = http_version
        self.keeps_alive = keeps_alive and http_version != "1.0"
        self.expects_continue = (
            b"expect" in names and (self.head.header(b"expect") or b"").lower() == b"100-continue"
        )
        hosts = names.count(b"host")
        if hosts > 1 or (not hosts and http_version == "1.1"):
            raise HeadError(400, f"A request has one Host header; this one has {hosts}.")
        self.body_length: int | None = max(self.head.content_length, 0)
        if b"transfer-encoding" in names:
            self.body_length = None
            if http_version == "1.0" or b"content-length" in names:
                raise HeadError(400, "Chunks are for HTTP/1.1, and come without Content-Length.")

    def at_path(self, method: str, raw_path: bytes) -> "ParsedHead":
        """Returns a head with the same fields for another path."""
        parsed = ParsedHead.__new__(ParsedHead)
        parsed.head, parsed.raw_path = self.head.at_path(method, raw_path.decode("ascii")), raw_path
        parsed.fields, parsed.body_length = self.fields, self.body_length
        parsed.http_version, parsed.keeps_alive = self.http_version, self.keeps_alive
        parsed.expects_continue = self.expects_continue
        return parsed


def parse_head(data: bytes, last: ParsedHead | None = None) -> ParsedHead:
    """Parses a request's line and headers, up to and including the empty line.

    `last` is the head before it on the connection, whose headers need no parsing where they are the same. Raises
    HeadError 400 for what is not HTTP/1.1, and 501 for a transfer encoding other than chunked.
    """
    if last is not None and last.http_version == "1.1":
        line = _match_plain_line(data)
        if line is not None and data[line.end() :] == last.fields:
            return last.at_path(line[1].decode("ascii"), line[2])
    parsed = _parse(data)
    parsed.fields = data.partition(b"\r\n")[2]
    return parsed


def _parse(data: bytes) -> ParsedHead:
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an offer, which is declined: the request is answered as if it had not been made
    except httptools.HttpParserError:
        collector.is_complete = False
    encodings = [value for name, value in collector.headers if name == b"transfer-encoding"]
    if encodings and [encoding.strip().lower() for encoding in encodings] != [b"chunked"]:
        raise HeadError(
            501, "Send the body with Content-Length, or with Transfer-Encoding: chunked."
        )
    version = parser.get_http_version()
    if not collector.is_complete or version not in ("1.1", "1.0"):
        raise HeadError(400, "The request is not valid HTTP/1.1.")
    return ParsedHead(
        parser.get_method().decode("ascii"),
        collector.target,
        collector.headers,
        version,
        keeps_alive=collector.keeps_alive,
    )


class _Collector:
    """Receives what the parser finds in one head."""

    __slots__ = ("headers", "is_complete", "keeps_alive", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self.keeps_alive = True

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"connection" and b"close" in value.lower():
            self.keeps_alive = False
        self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _split_target(url: bytes) -> tuple[bytes, bytes]:
    """Returns the path and the query string of a request's target."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise HeadError(400, "The request's target is not a path.") from None
    return parsed.path or b"/", parsed.query or b""
