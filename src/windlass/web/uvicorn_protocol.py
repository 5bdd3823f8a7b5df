"""Changes uvicorn's connections: a response is one write, heads are bounded, and a stop loses no request."""

import asyncio
from collections import deque
from functools import partial
from secrets import token_hex
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from windlass.web.messages import SEND_WHOLE
from windlass.web.problems import CONTENT_TYPE, Problem
from windlass.web.streaming import SHUTDOWN_EVENT

MAX_HEAD = 64 << 10  # bytes of a request's line and headers, or of its trailers
HEAD_SECONDS = 30.0  # for a connection's first request to begin
LINGER_SECONDS = 0.5  # that an idle connection stays open for a request that is under way
ONE_TURN_SECONDS = 0.001  # in which the loop reads what is there; its clock has milliseconds


class DrainingProtocol(HttpToolsProtocol):
    """HTTP connection that closes only after the requests that its client may have sent were answered.

    uvicorn closes idle connections at once, and with them requests that are still in the socket.
    """

    draining = False
    _idle_since = 0.0
    _pipelined: "deque[RequestResponseCycle]"  # unanswered requests of a pipeline, but the last
    _first_request_timer: asyncio.TimerHandle
    _idle_timer: asyncio.TimerHandle
    _has_requested = False
    _head = 0  # bytes of the head that is being read
    _in_head = False
    _resuming = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's signature
        """Opens as uvicorn does, with a transport that joins head and body, and timers."""
        super().connection_made(transport)
        self.transport = _JoiningTransport(transport)  # type: ignore[assignment]  # a transport in all that is used
        self._idle_since = self.loop.time()
        self._pipelined = deque()
        self._first_request_timer = self.loop.call_later(HEAD_SECONDS, self._close_silent)
        self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_unused)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closes as uvicorn does, and notifies every request of a pipeline; cancels the timers."""
        self._first_request_timer.cancel()
        self._idle_timer.cancel()
        for cycle in self._pipelined:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answers `Connection: close` from now on; closes after LINGER_SECONDS without a request.

        Streamed responses end.
        """
        self.draining = True
        ending = self.app_state.get(SHUTDOWN_EVENT)
        if ending is not None:
            ending.set()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LINGER_SECONDS, self._read_on)

    def data_received(self, data: bytes) -> None:
        """Parses as uvicorn does, but an upgrade offer, which is declined, does not lose the body."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _decline(self, rest: bytes) -> None:
        """Parses on behind a head that offered an upgrade: the parser took all that follows for another protocol."""
        framing = [
            b"%b: %b\r\n" % header
            for header in self.headers
            if header[0] in (b"content-length", b"transfer-encoding")
        ]
        self.cycle.more_body = True
        self.cycle.message_event.clear()
        self.parser = httptools.HttpRequestParser(self)
        self._resuming = True
        try:
            self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"]))
            self.parser.feed_data(rest)
        except httptools.HttpParserError:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Starts a request as uvicorn does."""
        if self._resuming:
            return
        super().on_message_begin()
        self._head, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """Collects the URL as uvicorn does, up to MAX_HEAD."""
        self._head += len(url)
        if self._in_head and self._head <= MAX_HEAD:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header as uvicorn does, up to MAX_HEAD; ignores trailers.

        Does not call uvicorn's own method: one call a header is a hundredth of a small response's time.
        """
        self._head += len(name) + len(value) + 4
        if self._head > MAX_HEAD:
            if not self.transport.is_closing():
                self.send_400_response("")
        elif self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Starts the application as uvicorn does, with no further request on this connection once it drains."""
        if self._resuming:
            self._resuming = False
            return
        self._head, self._in_head, self._has_requested = 0, False, True
        before = self.cycle
        super().on_headers_complete()
        if before is not None and not before.response_complete:
            self._pipelined.append(before)
        self.scope["extensions"] = {SEND_WHOLE: partial(_send_whole, self.cycle)}  # type: ignore[dict-item]  # a call
        if self.draining:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Ends a request as uvicorn does, after a response without a body has left; one timer serves all requests."""
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        self.server_state.total_requests += 1
        if self._pipelined:
            self._pipelined.popleft()
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _close_unused(self) -> None:
        """Closes after `timeout_keep_alive` without a request; else looks again when that may be so."""
        if self.transport.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            left = self.timeout_keep_alive
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_unused)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's message; ours is a problem document
        """Answers what is not HTTP with a problem document under a request id, and closes."""
        identity = f"refused-{token_hex(8)}"
        body = Problem(400, "The request is not valid HTTP/1.1.").body(identity)
        lines = [
            "HTTP/1.1 400 Bad Request",
            f"content-type: {CONTENT_TYPE.decode()}",
            f"content-length: {len(body)}",
            f"x-request-id: {identity}",
            "server-timing: total;dur=0",
            "connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        self.transport.close()

    def _close_silent(self) -> None:
        """Closes a connection that has not sent a complete head within HEAD_SECONDS."""
        if not self._has_requested and not self.transport.is_closing():
            self.transport.close()

    def _read_on(self) -> None:
        """Lets the loop read once more before it closes: timers come first where this process was delayed."""
        self.loop.call_later(ONE_TURN_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _send_whole(cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> bool:
    """Sends a response in one write; returns False, and sends nothing, where the client is gone or slow.

    uvicorn checks every byte of every header against two patterns, in two messages: a fifth of a small
    response's time. `head` is header lines that we wrote, each with its line break.
    """
    if cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    if b"\nconnection:" in head:
        return False  # which uvicorn handles, and closes
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    parts = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(head)
    parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    if cycle.scope["method"] != "HEAD":
        parts.append(body)
    cycle.transport.write_whole(b"".join(parts))  # type: ignore[attr-defined]  # ours
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


class _JoiningTransport:
    """Transport that holds the head of a response until its body comes: one system call, one packet.

    The two writes took a third of a small response's time.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes, or holds the head of a final response."""
        if self._head:
            head, self._head = self._head, b""
            self._write(head + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
        else:
            self._write(data)

    def write_whole(self, data: bytes) -> None:
        """Writes a head and its body."""
        self._write(data)

    def flush(self) -> None:
        """Writes the head that is held."""
        if self._head:
            head, self._head = self._head, b""
            self._write(head)

    def close(self) -> None:
        """Flushes, then closes."""
        self.flush()
        self._transport.close()
