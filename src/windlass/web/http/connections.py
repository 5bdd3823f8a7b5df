"""What the connections of one process share: limits, the headers of every response, and batches of requests."""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from windlass.web.asgi import AsgiService
from windlass.web.http.connection import HttpConnection
from windlass.web.http.connection_limits import ConnectionLimits
from windlass.web.messages import Request
from windlass.web.request_head import RequestHead
from windlass.web.response_head import header_lines
from windlass.web.routing import Route

MAX_BATCH = 64  # requests; what arrives beyond is another batch of the same turn

_Waiting = tuple[HttpConnection, Request]


class Connections:
    """Makes the connections of one process: uvicorn calls it for each."""

    def __init__(self, limits: ConnectionLimits = ConnectionLimits()) -> None:  # noqa: B008 - frozen
        self.limits = limits
        self.batcher: RequestBatcher | None = None
        self._state: ServerState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> HttpConnection:
        """Returns a connection that has not been made yet; the arguments are uvicorn's."""
        if self._loop is None:
            self._loop = _loop or asyncio.get_running_loop()
            self._state = server_state
            if isinstance(config.loaded_app, AsgiService):
                self.batcher = RequestBatcher(self._loop, config.loaded_app)
            self._loop.call_later(self.limits.sweep, self._sweep)
        return HttpConnection(self, config, server_state, app_state, self._loop)

    def default_lines(self, server_state: ServerState) -> bytes:
        """Returns the header lines of every response, which uvicorn makes each second."""
        headers = server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._default_lines

    def _sweep(self) -> None:
        """Ends the connections that have taken too long."""
        assert self._loop is not None
        assert self._state is not None
        self._loop.call_later(self.limits.sweep, self._sweep)
        now = self._loop.time()
        for connection in list(self._state.connections):
            connection.sweep(now)  # type: ignore[union-attr]  # ours


class RequestBatcher:
    """Requests of all connections of one process that wait for the end of this turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, service: AsgiService) -> None:
        self._loop = loop
        self._service = service
        self._waiting: dict[Route, list[_Waiting]] = {}
        self.find_route = service.batch_route

    def add(
        self,
        connection: HttpConnection,
        matched: tuple[Route, dict[str, str]],
        head: RequestHead,
        body: bytes,
    ) -> None:
        """Answers a request, whose body is whole, at the end of this turn; `matched` is what `find_route` returned."""
        service = self._service
        client, server = connection.client_address, connection.server_address
        request = Request(head, service.next_id(), service.max_body, client=client, server=server)
        route, request.path_params = matched
        request.whole = body
        if not self._waiting:
            self._loop.call_soon(self._answer)
        self._waiting.setdefault(route, []).append((connection, request))

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for route, requests in waiting.items():
            for start in range(0, len(requests), MAX_BATCH):
                self._answer_batch(route, requests[start : start + MAX_BATCH])

    def _answer_batch(self, route: Route, batch: "list[_Waiting]") -> None:
        service = self._service
        responses = service.answer_batch(route, [request for _, request in batch])
        for (connection, request), response in zip(batch, responses, strict=True):
            lines = header_lines(request, response)
            connection.send_response(response.status, lines, response.body)
            service.finish(request, route, response.status)
