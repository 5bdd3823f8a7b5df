"""The ASGI application of the inference process: ids, timing, problems, metrics and logs around every route."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from windlass.errors import EngineError, LedgerError
from windlass.monitoring.metrics import ServerMetrics
from windlass.web import problems
from windlass.web.access_log import AccessLog
from windlass.web.authentication import Authenticator
from windlass.web.messages import WHOLE, ClientGone, Receive, Request, Response, Scope, Send
from windlass.web.problems import Problem, unavailable
from windlass.web.routing import Route, Router
from windlass.web.streaming import ENDING, send_parts

_log = logging.getLogger("windlass.serving")
_NOWHERE = Route("", "", handler=None, label="none")  # type: ignore[arg-type]  # a name for logs, never called
_HEAD = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\nserver-timing: %b\r\n"
_NOTHING: dict[str, Any] = {}
_REFUSED = EngineError, LedgerError, Problem

Hook = Callable[[], Awaitable[None]]


class AsgiService:
    """Answers requests. `start` and `stop` run once each, around a server's life."""

    def __init__(
        self,
        routes: Sequence[Route],
        telemetry: ServerMetrics,
        *,
        max_body: int,
        start: Hook,
        stop: Hook,
        guard: Authenticator | None = None,
    ) -> None:
        self._router = Router(list(routes))
        self._telemetry = telemetry
        self._max_body = max_body
        self._start, self._stop = start, stop
        self._guard = guard
        self._log = AccessLog()
        prefix = secrets.token_hex(6)
        self._next = map(f"{prefix}-%08x".__mod__, itertools.count()).__next__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        exchange = Request(scope, receive, self._next(), self._max_body)
        route = self._router.exact((scope["method"], scope["path"])) or _NOWHERE
        try:
            if route is _NOWHERE:
                route, exchange.arguments = self._router.find(scope["method"], scope["path"])
            if self._guard is not None and route.role is not None:
                self._guard.admit(exchange, route)
            answer = await route.handler(exchange)
        except _REFUSED as error:
            answer = _problem(exchange, error)
        except ClientGone:
            self._finish(exchange, route, 499)
            return
        except asyncio.CancelledError:  # a stop whose grace is over
            answer = _problem(exchange, unavailable("The server is stopping."))
        except Exception:  # noqa: BLE001 - logged whole, and answered; the service goes on
            _log.exception("request failed", extra={"request_id": exchange.request_id.decode()})
            answer = _problem(exchange, Problem(500, "The server failed. Its log tells why."))
        if answer.stream is not None:
            self._finish(exchange, route, await _stream(exchange, answer, send))
            return
        whole = scope.get("extensions", _NOTHING).get(WHOLE)
        if whole is None or not whole(answer.status, _head(exchange, answer), answer.body):
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": _headers(exchange, answer),
                }
            )
            await send({"type": "http.response.body", "body": answer.body})
        self._finish(exchange, route, answer.status)

    def _finish(self, exchange: Request, route: Route, status: int) -> None:
        seconds = perf_counter() - exchange.started
        self._telemetry.latency(
            route.project or exchange.project, exchange.version, route.label, status
        ).observe(seconds)
        self._log.write(exchange, route.label, status, seconds)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":  # a WebSocket, which no route here speaks
            await send({"type": "websocket.close", "code": 1000})
            return
        await receive()
        if "state" in scope:
            scope["state"][ENDING] = asyncio.Event()
        try:
            self._log.start()
            await self._start()
        except Exception as error:  # noqa: BLE001 - the server must be told, whatever it was
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await asyncio.to_thread(self._log.stop)
        await send({"type": "lifespan.shutdown.complete"})


async def _stream(exchange: Request, answer: Response, send: Send) -> int:
    """Send an answer part by part; the status to log."""
    assert answer.stream is not None
    _, _, *headers = _headers(exchange, answer)  # nobody knows the length, and 204 has no type
    if answer.status != 204:
        headers.insert(0, (b"content-type", answer.content_type))
    try:
        whole = await send_parts(exchange, answer.stream, answer.status, headers, send)
    except Exception:  # noqa: BLE001 - logged whole; the service goes on
        _log.exception("stream failed", extra={"request_id": exchange.request_id.decode()})
        return 500
    return answer.status if whole else 499


def _headers(exchange: Request, answer: Response) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", exchange.request_id),
        (b"server-timing", _timing(exchange)),
        *answer.headers,
        *_fields(exchange.quota),
    ]


def _head(exchange: Request, answer: Response) -> bytes:
    """The same headers as lines, for connections that take an answer whole."""
    lines = _HEAD % (
        answer.content_type,
        len(answer.body),
        exchange.request_id,
        _timing(exchange),
    )
    for name, value in answer.headers:
        if b"\n" in value or b"\r" in value:
            raise RuntimeError("A header's value holds a line break.")
        lines += b"%b: %b\r\n" % (name, value)
    return lines + exchange.quota


def _fields(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Lines of a head as names and values."""
    return [
        (name, value) for name, _, value in (line.partition(b": ") for line in lines.splitlines())
    ]


def _timing(exchange: Request) -> bytes:
    """Milliseconds spent parsing, fetching features and predicting, or in all where neither was done."""
    started, parsed = exchange.started, exchange.parsed
    if exchange.fetched:
        return _timing_with_features(exchange)
    if not exchange.predicted:
        return b"total;dur=%.3f" % ((perf_counter() - started) * 1e3)
    return b"parse;dur=%.3f, model;dur=%.3f" % (
        (parsed - started) * 1e3,
        (exchange.predicted - parsed) * 1e3,
    )


def _timing_with_features(exchange: Request) -> bytes:
    timing = b"parse;dur=%.3f, features;dur=%.3f" % (
        (exchange.parsed - exchange.started) * 1e3,
        (exchange.fetched - exchange.parsed) * 1e3,
    )
    if not exchange.predicted:
        return timing
    return b"%b, model;dur=%.3f" % (timing, (exchange.predicted - exchange.fetched) * 1e3)


def _problem(exchange: Request, error: Exception) -> Response:
    if isinstance(error, EngineError):
        _log.error(
            "model failed", extra={"request_id": exchange.request_id.decode(), "reason": str(error)}
        )
        error = Problem(422, "The model cannot predict these rows. The server's log tells why.")
    elif isinstance(error, LedgerError):
        _log.error(
            "ledger failed",
            extra={"request_id": exchange.request_id.decode(), "reason": str(error)},
        )
        error = unavailable("The ledger cannot be written, so nothing is answered.", retry_after=5)
    assert isinstance(error, Problem)
    body = error.body(exchange.request_id.decode())
    return Response(body, problems.CONTENT_TYPE, error.status, error.headers)
