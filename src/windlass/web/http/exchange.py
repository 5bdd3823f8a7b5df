"""One request of a connection as an ASGI application receives it, and its response as it is sent."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from windlass.web.messages import SEND_WHOLE, Message, Scope
from windlass.web.problems import Problem
from windlass.web.request_head import ParsedHead

if TYPE_CHECKING:
    from windlass.web.http.connection import HttpConnection

HIGH_WATER = 64 << 10  # bytes of a body that wait for the application when reading stops
_BODILESS = (204, 304)
_log = logging.getLogger("windlass.serving")


class Exchange:
    """A request and its response; `receive` and `send` are ASGI's."""

    def __init__(self, connection: "HttpConnection", parsed: ParsedHead) -> None:
        self.is_complete = False  # whether the response is
        self.has_started = False
        self.waiting = 0  # bytes of the body that the application has not received yet
        self._connection = connection
        self._parsed = parsed
        self._is_head = parsed.head.method == "HEAD"
        self._expects_continue = parsed.expects_continue
        self._parts: list[bytes] = []
        self._body_ended = self._end_received = self._disconnected = False
        self._failure: Problem | None = None
        self._changed = asyncio.Event()
        self._held = b""  # head of the response, until the first part of its body comes
        self._is_chunked = False
        self._keeps_alive = False

    def scope(self, base: Scope) -> Scope:
        """Returns the ASGI scope; `base` is what all requests of the connection share."""
        head = self._parsed.head
        return {
            **base,
            "http_version": self._parsed.http_version,
            "method": head.method,
            "path": head.path,
            "raw_path": self._parsed.raw_path,
            "query_string": head.query_string,
            "headers": head.headers,
            "extensions": {SEND_WHOLE: self.send_whole},
        }

    def feed(self, content: bytes, *, ended: bool) -> None:
        """Adds a part of the body; ignored once the response is complete."""
        if content:
            self._parts.append(content)
            self.waiting += len(content)
        self._body_ended = ended
        self._changed.set()

    def fail(self, problem: Problem) -> None:
        """Makes the application's next call of `receive` raise `problem`."""
        self._failure = problem
        self._changed.set()

    def disconnect(self) -> None:
        """Tells the application that the client is gone."""
        self._disconnected = True
        self._changed.set()

    async def receive(self) -> Message:
        """Returns the next part of the body, or the disconnect. Raises Problem where the body cannot be read."""
        if self._expects_continue and not self.has_started:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        while not (self._disconnected or self.is_complete):
            if self._failure is not None:
                raise self._failure
            if self._parts or (self._body_ended and not self._end_received):
                return self._next_part()
            self._changed.clear()
            self._connection.read_on()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    def _next_part(self) -> Message:
        content, self._parts, self.waiting = b"".join(self._parts), [], 0
        self._end_received = self._body_ended
        return {"type": "http.request", "body": content, "more_body": not self._body_ended}

    async def send(self, message: Message) -> None:
        """Sends a part of the response; waits while the client does not read."""
        await self._connection.writable()
        if self._disconnected:
            return
        if not self.has_started:
            self._start(message["status"], message.get("headers", ()))
            return
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if not self._is_head:
            self._write_body(body, has_more=has_more)
        if not has_more:
            if self._held:
                self._write(b"")
            self._complete()

    def _start(self, status: int, headers: Any) -> None:
        """Sends the head of the response."""
        lines, names = b"", set()
        for name, value in headers:
            if b"\n" in value or b"\r" in value:
                raise RuntimeError("A header's value holds a line break.")
            names.add(name)
            lines += b"%b: %b\r\n" % (name, value)
        has_body = not self._is_head and status not in _BODILESS
        is_sized = b"content-length" in names or self._parsed.http_version == "1.0"
        self._is_chunked = has_body and not is_sized
        if self._is_chunked:
            lines += b"transfer-encoding: chunked\r\n"
        self.has_started = True
        self._held, self._keeps_alive = self._connection.response_head(status, lines)

    def _write_body(self, body: bytes, *, has_more: bool) -> None:
        if self._is_chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if has_more else b"0\r\n\r\n"
        self._write(body)

    def _write(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if held:
            self._connection.write(held, data)
        else:
            self._connection.write(data)

    def send_whole(self, status: int, lines: bytes, body: bytes) -> bool:
        """Sends a response in one write; returns False, and sends nothing, where the client is gone or slow.

        `lines` are header lines that we wrote, each with its line break.
        """
        if self._disconnected or self.has_started or self._connection.is_write_paused:
            return False
        self.has_started = True
        head, self._keeps_alive = self._connection.response_head(status, lines)
        self._connection.write(head, b"" if self._is_head else body)
        self._complete()
        return True

    def _complete(self) -> None:
        self.is_complete = True
        self._changed.set()
        self._connection.end_response(keeps_alive=self._keeps_alive)

    async def run(self, application: Awaitable[None]) -> None:
        """Awaits the application; closes the connection where it leaves the response incomplete."""
        try:
            await application
        except Exception:  # noqa: BLE001 - logged with its traceback; the server goes on
            _log.exception("application failed")
        finally:
            if not self.is_complete:
                self._connection.close()
