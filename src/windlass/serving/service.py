"""The ASGI application of the inference process: ids, timing, problems, metrics and logs around every route."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from windlass.errors import EngineError, LedgerError
from windlass.monitoring.telemetry import Telemetry
from windlass.serving import problems
from windlass.serving.exchange import Answer, ClientGone, Exchange, Receive, Scope, Send
from windlass.serving.problems import Problem, unavailable
from windlass.serving.request_log import RequestLog
from windlass.serving.routing import Route, Router

_log = logging.getLogger("windlass.serving")
_NOWHERE = Route("", "", handler=None, label="none")  # type: ignore[arg-type]  # a name for logs, never called
_REFUSED = EngineError, LedgerError, Problem

Hook = Callable[[], Awaitable[None]]


class Service:
    """Answers requests. `start` and `stop` run once each, around a server's life."""

    def __init__(
        self,
        routes: Sequence[Route],
        telemetry: Telemetry,
        *,
        max_body: int,
        start: Hook,
        stop: Hook,
    ) -> None:
        self._router = Router(list(routes))
        self._telemetry = telemetry
        self._max_body = max_body
        self._start, self._stop = start, stop
        self._log = RequestLog()
        prefix = secrets.token_hex(6)
        self._next = map(f"{prefix}-%08x".__mod__, itertools.count()).__next__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        exchange = Exchange(scope, receive, self._next(), self._max_body)
        route = self._router.exact((scope["method"], scope["path"])) or _NOWHERE
        try:
            if route is _NOWHERE:
                route, exchange.arguments = self._router.find(scope["method"], scope["path"])
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
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": _headers(exchange, answer),
            }
        )
        await send({"type": "http.response.body", "body": answer.body})
        self._finish(exchange, route, answer.status)

    def _finish(self, exchange: Exchange, route: Route, status: int) -> None:
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


def _headers(exchange: Exchange, answer: Answer) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", exchange.request_id),
        (b"server-timing", _timing(exchange)),
        *answer.headers,
    ]


def _timing(exchange: Exchange) -> bytes:
    """Milliseconds spent parsing and predicting, or in all where nothing was predicted."""
    started, parsed = exchange.started, exchange.parsed
    if not exchange.predicted:
        return b"total;dur=%.3f" % ((perf_counter() - started) * 1e3)
    return b"parse;dur=%.3f, model;dur=%.3f" % (
        (parsed - started) * 1e3,
        (exchange.predicted - parsed) * 1e3,
    )


def _problem(exchange: Exchange, error: Exception) -> Answer:
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
    return Answer(body, problems.CONTENT_TYPE, error.status, error.headers)
