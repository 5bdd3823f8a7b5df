"""Heads of responses: status line, content type and length, request id, timing, and what a response adds."""

from http import HTTPStatus
from secrets import token_hex
from time import perf_counter

from windlass.web.messages import Request, Response
from windlass.web.problems import CONTENT_TYPE, Problem
from windlass.web.request_head import Headers

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_CLOSE = b"connection: close\r\n"

_LINES = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\nserver-timing: %b\r\n%b"


def join_head(status: int, default: bytes, lines: bytes, *, keeps_alive: bool) -> bytes:
    """Returns the head of a response; `default` and `lines` are header lines, each with its line break."""
    end = b"\r\n" if keeps_alive or _CLOSE in lines else _CLOSE + b"\r\n"
    return b"".join((_STATUS_LINES[status], default, lines, end))


def refusal(problem: Problem, default: bytes) -> bytes:
    """Returns the response to what is not a request: a problem document under a request id."""
    request_id = f"refused-{token_hex(8)}"
    body = problem.body(request_id)
    lines = _LINES % (CONTENT_TYPE, len(body), request_id.encode(), b"total;dur=0", b"")
    lines += _lines(problem.headers)
    return join_head(problem.status, default, lines, keeps_alive=False) + body


def header_lines(request: Request, response: Response) -> bytes:
    """Returns the headers as lines, for connections that take a response in one write."""
    lines = _LINES % (
        response.content_type,
        len(response.body),
        request.request_id,
        _server_timing(request),
        request.rate_limit_headers,
    )
    return lines + _lines(response.headers) if response.headers else lines


def _lines(headers: Headers) -> bytes:
    lines = b""
    for name, value in headers:
        if b"\n" in value or b"\r" in value:
            raise RuntimeError("A header's value holds a line break.")
        lines += b"%b: %b\r\n" % (name, value)
    return lines


def header_pairs(request: Request, response: Response) -> list[tuple[bytes, bytes]]:
    """Returns the same headers as names and values, as ASGI sends them."""
    pairs = (line.partition(b": ") for line in header_lines(request, response).splitlines())
    return [(name, value) for name, _, value in pairs]


def _server_timing(request: Request) -> bytes:
    """Returns the Server-Timing header: milliseconds of parsing, features and model, or the total where neither ran."""
    started, parsed = request.started, request.parsed
    if request.fetched:
        return _timing_with_features(request)
    if not request.predicted:
        return b"total;dur=%.3f" % ((perf_counter() - started) * 1e3)
    return b"parse;dur=%.3f, model;dur=%.3f" % (
        (parsed - started) * 1e3,
        (request.predicted - parsed) * 1e3,
    )


def _timing_with_features(request: Request) -> bytes:
    timing = b"parse;dur=%.3f, features;dur=%.3f" % (
        (request.parsed - request.started) * 1e3,
        (request.fetched - request.parsed) * 1e3,
    )
    if not request.predicted:
        return timing
    return b"%b, model;dur=%.3f" % (timing, (request.predicted - request.fetched) * 1e3)
