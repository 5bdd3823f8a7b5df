"""ASGI application around every route: request ids, timing, problems, metrics and the access log."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol

from windlass.errors import EngineError, LedgerError, RejectedRowsError
from windlass.monitoring.metrics import ServerMetrics
from windlass.web import problems
from windlass.web.access_log import AccessLog
from windlass.web.messages import (
    JSON,
    SEND_WHOLE,
    SHUTDOWN_EVENT,
    BodyBudget,
    ClientGone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
)
from windlass.web.problems import Problem, rejected, unavailable
from windlass.web.request_head import RequestHead
from windlass.web.response_head import header_lines, header_pairs
from windlass.web.routing import Route, Router
from windlass.web.streaming import send_stream

_log = logging.getLogger("windlass.serving")
_NO_ROUTE = Route("", "", handler=None, label="none")  # type: ignore[arg-type]  # a name for logs, never called
_NO_EXTENSIONS: dict[str, Any] = {}
BODIES_IN_FLIGHT = 4  # of the largest size, that may be in memory at a time

ErrorFormat = Callable[[Problem], tuple[int, bytes]]  # status and JSON body of an error


class Lifespan(Protocol):
    """Resources of the application. `start` and `stop` run once each, as the server starts and stops."""

    async def start(self) -> None:
        """Acquires them; the server takes no request before."""

    async def stop(self) -> None:
        """Releases them, after the last response."""


class AccessPolicy(Protocol):
    """Decides which requests are answered."""

    def admit(self, request: Request, route: Route) -> None:
        """Accepts a request for a route. Raises Problem for one that is refused."""


class AsgiService:
    """Service behind every route: an ASGI application, which also answers whole requests in batches."""

    def __init__(
        self,
        routes: Sequence[Route],
        metrics: ServerMetrics,
        *,
        max_body: int,
        lifespan: Lifespan,
        access: AccessPolicy | None = None,
        error_formats: Mapping[str, ErrorFormat] | None = None,
    ) -> None:
        """`error_formats` are by the first part of a path, such as `/v2`; elsewhere errors are problem documents."""
        self._router = Router(list(routes))
        self._metrics = metrics
        self.max_body = max_body
        self._budget = BodyBudget(BODIES_IN_FLIGHT * max_body)
        self._resources = lifespan
        self._error_formats = dict(error_formats or {})
        self._access = access
        self._log = AccessLog()
        prefix = secrets.token_hex(6)
        self.next_id = map(f"{prefix}-%08x".__mod__, itertools.count()).__next__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection scope, as ASGI defines."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        request = Request.from_scope(scope, receive, self.next_id(), self.max_body)
        request.budget = self._budget
        try:
            await self._handle(scope, request, send)
        finally:
            self._budget.release(request)

    async def _handle(self, scope: Scope, request: Request, send: Send) -> None:
        route, response = await self._respond(request)
        if response is None:
            self.finish(request, route, 499)
            return
        if response.stream is not None:
            self.finish(request, route, await _stream(request, response, send))
            return
        send_whole = scope.get("extensions", _NO_EXTENSIONS).get(SEND_WHOLE)
        if send_whole is None or not send_whole(
            response.status, header_lines(request, response), response.body
        ):
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status,
                    "headers": header_pairs(request, response),
                }
            )
            await send({"type": "http.response.body", "body": response.body})
        self.finish(request, route, response.status)

    async def _respond(self, request: Request) -> tuple[Route, Response | None]:
        """Returns the route of a request and its response; None where the client is gone."""
        head = request.head
        route = self._router.exact((head.method, head.path)) or _NO_ROUTE
        try:
            if route is _NO_ROUTE:
                route, request.path_params = self._router.find(
                    head.method, head.path, head.encoded_path
                )
            self._admit(request, route)
            if head.query_string:
                route.check_query(head.query_string)
            return route, await route.handler(request)
        except ClientGone:
            return route, None
        except asyncio.CancelledError:  # the grace period of a stop is over
            return route, self._error_response(request, unavailable("The server is stopping."))
        except Exception as error:  # noqa: BLE001 - answered, and logged with its traceback if it is not ours
            return route, self._error_response(request, error)

    def _error_response(self, request: Request, error: Exception) -> Response:
        first = f"/{request.head.path[1:].partition('/')[0]}"
        return error_response(request, error, self._error_formats.get(first))

    def _admit(self, request: Request, route: Route) -> None:
        """Raises Problem where the request may not use the route."""
        if self._access is not None:
            self._access.admit(request, route)

    def batch_route(self, head: RequestHead) -> tuple[Route, dict[str, str]] | None:
        """Returns the route that answers a request in a batch, and the path parameters; None where its handler does."""
        if head.query_string or head.content_encoding:
            return None
        return self._router.find_batch(head.method, head.path, head.encoded_path)

    def answer_batch(self, route: Route, requests: Sequence[Request]) -> list[Response]:
        """Returns the response of each of these whole requests.

        Call `finish` for each, once it is sent.
        """
        assert route.batch is not None
        outcomes: dict[Request, Response | Exception] = {}
        admitted = []
        for request in requests:
            try:
                self._admit(request, route)
            except Problem as problem:
                outcomes[request] = problem.with_traceback(None)  # whose frames refer to this dict
            except Exception as error:  # noqa: BLE001 - as in _respond
                outcomes[request] = error
            else:
                admitted.append(request)
        try:
            answered = route.batch.answer(admitted)
        except Exception as error:  # noqa: BLE001 - as in _respond
            answered = [error] * len(admitted)
        outcomes.update(zip(admitted, answered, strict=True))
        return [
            outcome if isinstance(outcome, Response) else error_response(request, outcome)
            for request, outcome in ((request, outcomes[request]) for request in requests)
        ]

    def finish(self, request: Request, route: Route, status: int) -> None:
        """Counts and logs a request that was answered."""
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
            await self._resources.start()
        except Exception as error:  # noqa: BLE001 - uvicorn must learn of it, whatever it was
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._resources.stop()
        await asyncio.to_thread(self._log.stop)
        await send({"type": "lifespan.shutdown.complete"})


async def _stream(request: Request, response: Response, send: Send) -> int:
    """Sends a streamed response; returns the status to log."""
    _, _, *headers = header_pairs(request, response)  # the length is unknown, and 204 has no type
    if response.status != 204:
        headers.insert(0, (b"content-type", response.content_type))
    try:
        complete = await send_stream(request, response, headers, send)
    except Exception:  # noqa: BLE001 - logged with its traceback; the service goes on
        _log.exception("stream failed", extra={"request_id": request.request_id.decode()})
        return 500
    return response.status if complete else 499


def error_response(
    request: Request, error: Exception, encode: ErrorFormat | None = None
) -> Response:
    """Returns the response to an error, a problem document unless `encode` makes another; logs one of the server."""
    problem = error if isinstance(error, Problem) else _problem(request, error)
    if encode is not None:
        status, body = encode(problem)
        return Response(body, JSON, status, problem.headers)
    body = problem.body(request.request_id.decode())
    return Response(body, problems.CONTENT_TYPE, problem.status, problem.headers)


def _problem(request: Request, error: Exception) -> Problem:
    facts = {"request_id": request.request_id.decode()}
    if isinstance(error, RejectedRowsError):
        return rejected(error.faults)
    if isinstance(error, EngineError):
        _log.error("model failed", extra={**facts, "reason": str(error)})
        return Problem(500, "The model failed. The server's log tells why.")
    if isinstance(error, LedgerError):
        _log.error("ledger failed", extra={**facts, "reason": str(error)})
        return unavailable("The ledger cannot be written, so nothing is answered.", retry_after=5)
    _log.error("request failed", extra=facts, exc_info=error)
    return Problem(500, "The server failed. Its log tells why.")
