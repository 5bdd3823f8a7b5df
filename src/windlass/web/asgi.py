"""ASGI application around every route: request ids, timing, problems, metrics and the access log."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Protocol

from windlass.errors import EngineError, LedgerError, RejectedRowsError
from windlass.monitoring.metrics import ServerMetrics
from windlass.web import problems
from windlass.web.access_log import AccessLog
from windlass.web.messages import SEND_WHOLE, ClientGone, Receive, Request, Response, Scope, Send
from windlass.web.problems import Problem, rejected, unavailable
from windlass.web.routing import Route, Router
from windlass.web.streaming import SHUTDOWN_EVENT, send_stream

_log = logging.getLogger("windlass.serving")
_NO_ROUTE = Route("", "", handler=None, label="none")  # type: ignore[arg-type]  # a name for logs, never called
_HEAD = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\nserver-timing: %b\r\n"
_NO_EXTENSIONS: dict[str, Any] = {}
_EXPECTED_ERRORS = EngineError, LedgerError, Problem

Hook = Callable[[], Awaitable[None]]


class AccessPolicy(Protocol):
    """Decides which requests are answered."""

    def admit(self, request: Request, route: Route) -> None:
        """Accepts a request for a route. Raises Problem for one that is refused."""


class AsgiService:
    """ASGI application of the web process. `start` and `stop` run once each, as the server starts and stops."""

    def __init__(
        self,
        routes: Sequence[Route],
        metrics: ServerMetrics,
        *,
        max_body: int,
        start: Hook,
        stop: Hook,
        access: AccessPolicy | None = None,
    ) -> None:
        self._router = Router(list(routes))
        self._metrics = metrics
        self._max_body = max_body
        self._start, self._stop = start, stop
        self._access = access
        self._log = AccessLog()
        prefix = secrets.token_hex(6)
        self._next = map(f"{prefix}-%08x".__mod__, itertools.count()).__next__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection scope, as ASGI defines."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        request = Request(scope, receive, self._next(), self._max_body)
        route = self._router.exact((scope["method"], scope["path"])) or _NO_ROUTE
        try:
            if route is _NO_ROUTE:
                route, request.path_params = self._router.find(scope["method"], scope["path"])
            if self._access is not None:
                self._access.admit(request, route)
            response = await route.handler(request)
        except _EXPECTED_ERRORS as error:
            response = _problem_response(request, error)
        except ClientGone:
            self._finish(request, route, 499)
            return
        except asyncio.CancelledError:  # the grace period of a stop is over
            response = _problem_response(request, unavailable("The server is stopping."))
        except Exception:  # noqa: BLE001 - logged with its traceback, and answered
            _log.exception("request failed", extra={"request_id": request.request_id.decode()})
            response = _problem_response(
                request, Problem(500, "The server failed. Its log tells why.")
            )
        if response.stream is not None:
            self._finish(request, route, await _stream(request, response, send))
            return
        send_whole = scope.get("extensions", _NO_EXTENSIONS).get(SEND_WHOLE)
        if send_whole is None or not send_whole(
            response.status, _header_lines(request, response), response.body
        ):
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status,
                    "headers": _headers(request, response),
                }
            )
            await send({"type": "http.response.body", "body": response.body})
        self._finish(request, route, response.status)

    def _finish(self, request: Request, route: Route, status: int) -> None:
        seconds = perf_counter() - request.started
        self._metrics.latency(
            route.project or request.project, request.version, route.label, status
        ).observe(seconds)
        self._log.write(request, route.label, status, seconds)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":  # a WebSocket, which no route supports
            await send({"type": "websocket.close", "code": 1000})
            return
        await receive()
        if "state" in scope:
            scope["state"][SHUTDOWN_EVENT] = asyncio.Event()
        try:
            self._log.start()
            await self._start()
        except Exception as error:  # noqa: BLE001 - uvicorn must learn of it, whatever it was
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await asyncio.to_thread(self._log.stop)
        await send({"type": "lifespan.shutdown.complete"})


async def _stream(request: Request, response: Response, send: Send) -> int:
    """Sends a streamed response; returns the status to log."""
    _, _, *headers = _headers(request, response)  # the length is unknown, and 204 has no type
    if response.status != 204:
        headers.insert(0, (b"content-type", response.content_type))
    try:
        complete = await send_stream(request, response, headers, send)
    except Exception:  # noqa: BLE001 - logged with its traceback; the service goes on
        _log.exception("stream failed", extra={"request_id": request.request_id.decode()})
        return 500
    return response.status if complete else 499


def _headers(request: Request, response: Response) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        (b"x-request-id", request.request_id),
        (b"server-timing", _server_timing(request)),
        *response.headers,
        *_parse_header_lines(request.rate_limit_headers),
    ]


def _header_lines(request: Request, response: Response) -> bytes:
    """Returns the same headers as header lines, for connections that take a response in one write."""
    lines = _HEAD % (
        response.content_type,
        len(response.body),
        request.request_id,
        _server_timing(request),
    )
    for name, value in response.headers:
        if b"\n" in value or b"\r" in value:
            raise RuntimeError("A header's value holds a line break.")
        lines += b"%b: %b\r\n" % (name, value)
    return lines + request.rate_limit_headers


def _parse_header_lines(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Returns header lines as names and values."""
    return [
        (name, value) for name, _, value in (line.partition(b": ") for line in lines.splitlines())
    ]


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


def _problem_response(request: Request, error: Exception) -> Response:
    if isinstance(error, RejectedRowsError):
        error = rejected(error.faults)
    elif isinstance(error, EngineError):
        _log.error(
            "model failed", extra={"request_id": request.request_id.decode(), "reason": str(error)}
        )
        error = Problem(422, "The model cannot predict these rows. The server's log tells why.")
    elif isinstance(error, LedgerError):
        _log.error(
            "ledger failed", extra={"request_id": request.request_id.decode(), "reason": str(error)}
        )
        error = unavailable("The ledger cannot be written, so nothing is answered.", retry_after=5)
    assert isinstance(error, Problem)
    body = error.body(request.request_id.decode())
    return Response(body, problems.CONTENT_TYPE, error.status, error.headers)
