"""HTTP/1.1 connections under uvicorn: one request at a time, within bounds, and a stop loses no request."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn import Config
from uvicorn.server import ServerState

from windlass.web.http.body_framing import BodyFraming, ChunkedBody, FramingError, SizedBody
from windlass.web.http.connection_limits import Deadlines, Phase
from windlass.web.http.exchange import HIGH_WATER, Exchange
from windlass.web.messages import SHUTDOWN_EVENT, Scope
from windlass.web.problems import Problem, busy, malformed, timed_out
from windlass.web.request_head import HeadError, ParsedHead, parse_head
from windlass.web.response_head import join_head, refusal

if TYPE_CHECKING:
    from windlass.web.http.connections import Connections

_LONGEST_KEPT = 4 << 10  # bytes of a head; a longer one is parsed each time
_LONGEST_COPIED = 64 << 10  # bytes of a response's body
_ONE_TURN = 0.001  # seconds in which the loop reads what is there; its clock has milliseconds


class HttpConnection(asyncio.Protocol):
    """HTTP/1.1 connection, which answers one request at a time.

    A request on a batch route is answered once its body is whole; any other by the ASGI application. While a request
    is answered, and while the client leaves responses unread, nothing more is read. It closes only after the requests
    that its client may have sent were answered.
    """

    def __init__(
        self,
        shared: "Connections",
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.draining = False
        self.is_write_paused = False
        self.client_address = self.server_address = ""
        self._shared, self._limits, self._loop = shared, shared.limits, loop
        self._app: Callable[..., Any] = config.loaded_app
        self._idle_seconds = config.timeout_keep_alive
        self._server, self._app_state = server_state, app_state
        self._scope: Scope = {
            "type": "http",
            "asgi": {"version": config.asgi_version, "spec_version": "2.3"},
            "scheme": "http",
            "root_path": "",
        }
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is connected
        self._buffer = b""  # received, and not read yet
        # head of the last request, and what it says: the next one's is often the same
        self._last_head = b""
        self._last_parsed: ParsedHead | None = None
        self._parsed: ParsedHead | None = None  # of the request that is read or answered
        self._body: BodyFraming | None = None  # of that request, while it comes
        self._is_answering = False
        self._exchange: Exchange | None = None
        self._is_lost = self._is_at_eof = self._is_read_paused = self._lingers = False
        self._is_misframed = False
        self._requests = self._received = self._written = self._dropped = 0
        self._can_write = asyncio.Event()

    # asyncio's callbacks
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of streams
        """Begins to read; beyond the number of connections, answers 503."""
        self._transport = transport
        connections = self._server.connections
        connections.add(self)  # type: ignore[arg-type]  # uvicorn's set of its own classes
        client, server = map(transport.get_extra_info, ("peername", "sockname"))
        if isinstance(client, tuple) and isinstance(server, tuple):
            self._scope |= {"client": client[:2], "server": server[:2]}
            self.client_address, self.server_address = client[0], server[0]
        self._deadlines = Deadlines(self._limits, self._loop.time(), self._idle_seconds)
        if len(connections) > 2 * self._limits.connections:
            transport.abort()
        elif len(connections) > self._limits.connections:
            self._refuse(busy("The server has all the connections that it takes."))
        elif self.draining:  # the server stopped as it was accepted
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's argument
        """Forgets the connection, and tells the application."""
        self._server.connections.discard(self)
        self._is_lost, self._buffer = True, b""
        self.is_write_paused = False
        self._can_write.set()
        if self._exchange is not None:
            self._exchange.disconnect()

    def data_received(self, data: bytes) -> None:
        """Reads the next request, or more of the body; keeps what comes while a request is answered."""
        self._received += len(data)
        if self._lingers:
            self._drop(data)
            return
        if self._body is not None:
            data = self._read_body(data)
            if not data:
                return
        self._buffer = self._buffer + data if self._buffer else data
        if self._is_answering or self.is_write_paused:
            self._update_reading()
        else:
            self._next_request()

    def eof_received(self) -> bool:
        """Lets a batch answer its requests; anything else ends with the client."""
        self._is_at_eof = True
        return self._is_answering and self._exchange is None

    def pause_writing(self) -> None:
        """Stops the application while the client does not read."""
        self.is_write_paused = True
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Goes on once the client has read."""
        self.is_write_paused = False
        self._can_write.set()
        if not self._is_answering:
            self._go_on()

    # reading
    def _next_request(self) -> None:
        """Begins the next request, if its head is in the buffer, and its body where a batch answers it."""
        data = self._buffer
        parsed = self._last_parsed
        if parsed is None or not data.startswith(self._last_head):
            parsed = self._parse()
            if parsed is None:
                return
            data = self._buffer
        start = len(self._last_head)
        length, batcher = parsed.body_length, self._shared.batcher
        if batcher is None or length is None or length > self._limits.whole_body:
            self._begin(parsed, data[start:])
            return
        matched = batcher.find_route(parsed.head)
        if matched is None:
            self._begin(parsed, data[start:])
        elif len(data) >= start + length:
            self._parsed, self._is_answering = parsed, True
            self._buffer = data[start + length :]
            self._update_reading()
            batcher.add(self, matched, parsed.head, data[start : start + length])
        elif parsed.expects_continue:
            self._begin(parsed, data[start:])
        else:
            self._parsed = parsed

    def _parse(self) -> ParsedHead | None:
        """Parses the head at the start of the buffer; returns None where it has not come yet, or is refused."""
        data = self._buffer = self._buffer.lstrip(b"\r\n")
        end = data.find(b"\r\n\r\n", 0, self._limits.head) + 4
        try:
            if end < 4:
                self._await_head(data)
                return None
            parsed = parse_head(data[:end], self._last_parsed)
        except HeadError as error:
            self._refuse(Problem(error.status, str(error)))
            return None
        self._last_head, self._last_parsed = data[:end], parsed
        return parsed

    def _await_head(self, data: bytes) -> None:
        """Waits for the rest of a head. Raises HeadError where it cannot become one."""
        if len(data) >= self._limits.head or not (data[:1] or b"A").isupper():
            raise HeadError(400, "The request is not valid HTTP/1.1.")

    def _begin(self, parsed: ParsedHead, data: bytes) -> None:
        """Starts the application for a request; `data` is what came after the head."""
        self._parsed, self._is_answering, self._buffer = parsed, True, b""
        exchange = self._exchange = Exchange(self, parsed)
        length = parsed.body_length
        body: BodyFraming = ChunkedBody() if length is None else SizedBody(length)
        if body.is_complete:
            exchange.feed(b"", ended=True)
        else:
            self._body = body
            data = self._read_body(data) if data else b""
        self._buffer = data
        self._update_reading()
        scope = exchange.scope(self._scope | {"state": self._app_state.copy()})
        application = self._app(scope, exchange.receive, exchange.send)
        task = self._loop.create_task(exchange.run(application))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _read_body(self, data: bytes) -> bytes:
        """Gives what `data` holds of the body to the application, if it still wants it; returns what follows."""
        assert self._body is not None
        try:
            content, rest = self._body.take(data)
        except FramingError as error:
            self._end_body(malformed(str(error)))
            return b""
        ended = self._body.is_complete
        if ended:
            self._body = None
        if self._exchange is not None:
            self._exchange.feed(content, ended=ended)
            self._update_reading()
        return rest

    def _end_body(self, problem: Problem) -> None:
        """Stops to read a body that is broken or does not come; the application answers with the problem."""
        if self._exchange is None:  # which has answered already
            self._transport.close()
            return
        self._body, self._is_misframed = None, True
        self._exchange.fail(problem)

    def _drop(self, data: bytes) -> None:
        """Drops what comes after the last response, up to a bound."""
        self._dropped += len(data)
        if self._dropped > self._limits.linger:
            self._transport.close()

    def read_on(self) -> None:
        """Reads more: the application has taken what had come of the body."""
        self._update_reading()

    def _update_reading(self) -> None:
        """Stops reading while enough has come that is not needed yet; goes on once it was taken."""
        exchange = self._exchange
        is_busy = self._is_answering or self.is_write_paused
        is_full = (is_busy and len(self._buffer) >= self._limits.pipeline) or (
            exchange is not None and exchange.waiting >= HIGH_WATER
        )
        if is_full is self._is_read_paused or self._transport.is_closing():
            return
        self._is_read_paused = is_full
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # writing
    async def writable(self) -> None:
        """Returns once the client has read enough, or is gone."""
        while self.is_write_paused:
            await self._can_write.wait()

    def write(self, head: bytes, body: bytes = b"") -> None:
        """Sends bytes of a response: in one write, or without a copy of a large body."""
        if self._is_lost:
            return
        self._written += len(head) + len(body)
        if len(body) <= _LONGEST_COPIED:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def response_head(self, status: int, lines: bytes) -> tuple[bytes, bool]:
        """Returns the head of a response, and whether the connection goes on after it."""
        assert self._parsed is not None
        keeps_alive = self._keeps_alive() and b"\nconnection: close" not in lines
        default = self._shared.default_lines(self._server)
        return join_head(status, default, lines, keeps_alive=keeps_alive), keeps_alive

    def _keeps_alive(self) -> bool:
        assert self._parsed is not None
        if self._is_misframed or not self._parsed.keeps_alive:
            return False
        is_last = (self.draining or self._is_at_eof) and not self._buffer
        if isinstance(self._body, SizedBody):  # a short rest is read and dropped
            return not is_last and self._body.left <= self._limits.whole_body
        return not is_last and self._body is None

    def send_response(self, status: int, lines: bytes, body: bytes) -> None:
        """Sends a response of a batch: head and body in one write. `lines` are header lines."""
        if self._is_lost:
            return
        head, keeps_alive = self.response_head(status, lines)
        self.write(head, body)
        self.end_response(keeps_alive=keeps_alive)

    def end_response(self, *, keeps_alive: bool) -> None:
        """Goes on to the next request, or closes."""
        self._server.total_requests += 1
        self._is_answering, self._exchange, self._parsed = False, None, None
        self._requests += 1
        if len(self._last_head) > _LONGEST_KEPT:
            self._last_head, self._last_parsed = b"", None
        if not keeps_alive:
            self._close_gently()
        elif not self.is_write_paused:
            self._go_on()

    def _go_on(self) -> None:
        """Reads the next request, after a response that the client reads."""
        if self._is_lost or self._transport.is_closing():
            return
        if self._buffer:
            self._next_request()
        self._update_reading()
        if self.draining and self._parsed is None:
            self._loop.call_later(self._limits.idle_drain, self._read_once_more)

    def _refuse(self, problem: Problem) -> None:
        """Answers what is not a request with a problem document under a request id, and closes."""
        self.write(refusal(problem, self._shared.default_lines(self._server)))
        self._linger()

    # closing
    def close(self) -> None:
        """Closes a connection whose response cannot be completed."""
        self._transport.close()

    def _close_gently(self) -> None:
        """Closes; where more is coming, reads and drops it first, for a reset would overtake the response."""
        if self._body is not None or self._is_misframed or self._buffer:
            self._linger()
        else:
            self._transport.close()

    def _linger(self) -> None:
        """Ends what is sent, and drops what comes until the client closes, for a while."""
        if self._is_lost or self._transport.is_closing():
            return
        self._lingers = True
        self._buffer, self._body = b"", None
        self._exchange, self._is_answering = None, False
        self._transport.write_eof()
        self._update_reading()

    def shutdown(self) -> None:
        """Answers `Connection: close` from now on, and closes after a while without a request.

        Streamed responses end.
        """
        self.draining = True
        ending = self._app_state.get(SHUTDOWN_EVENT)
        if ending is not None:
            ending.set()
        if self._parsed is None:
            self._loop.call_later(self._limits.idle_drain, self._read_once_more)

    def _read_once_more(self) -> None:
        """Lets the loop read once more before it closes: timers come first where this process was delayed."""
        self._loop.call_later(_ONE_TURN, self._close_idle)

    def _close_idle(self) -> None:
        if self._parsed is None and not self._lingers:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Ends what has taken too long: a head, a body, a response that is not read, an idle connection."""
        unsent = self._transport.get_write_buffer_size()
        if self._deadlines.is_response_stalled(now, self._written - unsent, unsent):
            self._transport.abort()
            return
        phase = self._phase()
        expired = self._deadlines.has_expired(now, phase, self._requests, self._received)
        if not expired or self._transport.is_closing():
            return
        if phase is Phase.BODY:
            self._end_stalled()
        else:
            self._transport.close()

    def _phase(self) -> Phase:
        if self._lingers:
            return Phase.LINGER
        if self._parsed is None and self._body is None:
            is_first = not self._requests
            return Phase.HEAD if is_first or self._buffer else Phase.IDLE
        is_awaited = self._body is not None or not self._is_answering
        return Phase.BODY if is_awaited and not self._is_read_paused else Phase.RESPONSE

    def _end_stalled(self) -> None:
        """Ends the wait for a body: the application answers 408."""
        if self._parsed is not None and not self._is_answering:
            self._begin(self._parsed, self._buffer[len(self._last_head) :])
        self._end_body(timed_out())
