"""Request and response: what handlers read and return."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import parse_qsl

from windlass.web.content_encoding import decoder
from windlass.web.problems import Problem, too_large

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
SEND_WHOLE = "windlass.whole"  # ASGI extension of DrainingProtocol: sends status, headers and body in one write

INLINE_DECODED = 4 << 10  # encoded bytes that are decoded on the event loop
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch


class ClientGone(Exception):  # noqa: N818 - an event, not a fault
    """The client disconnected before its request was complete."""


class Request:
    """An HTTP request. `started`, `parsed`, `fetched` and `predicted` are times in seconds, for Server-Timing."""

    __slots__ = (
        "accept", "actor", "content_encoding", "content_length", "content_type", "fetched", "id", "max_body",
        "parsed", "path_params", "predicted", "project", "rate_limit_headers", "receive",
        "request_id", "scope", "started", "version",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, identity: str, max_body: int) -> None:
        self.started = perf_counter()
        self.parsed = self.fetched = self.predicted = 0.0
        self.scope = scope
        self.id = identity
        self.request_id = identity.encode()
        self.max_body = max_body
        self.project = ""  # where the path names it, not the route
        self.version = ""
        self.actor = ""  # the name of the caller's key; empty where WINDLASS_AUTH is off
        self.rate_limit_headers = b""  # header lines, where that key has a rate limit
        self.path_params: dict[str, str] = {}
        self.content_type = b""
        self.content_length = -1
        self.content_encoding = b""
        self.accept = b""
        self.receive = receive
        for name, value in scope["headers"]:
            if name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.content_length = int(value)
            elif name == b"accept":
                self.accept = value
            elif name == b"x-request-id" and _SANE_ID(value):
                self.request_id = value
            elif name == b"content-encoding":
                self.content_encoding = value

    def header(self, name: bytes) -> bytes | None:
        """Returns the first header of this lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    def query(self) -> dict[str, str]:
        """Returns the query parameters; of a repeated one, the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def media_type(self) -> str:
        """Returns the content type in lower case, without parameters; empty where none was sent."""
        return self.content_type.partition(b";")[0].strip().lower().decode("latin-1")

    async def body(self, limit: int | None = None) -> bytes:
        """Returns the complete body, decoded where it has a content encoding.

        `limit` is in bytes, below the server's own. Raises Problem 413 as soon as the body is over the limit, before
        decoding or after it; 415 or 400 for an encoding that is not read; ClientGone on a disconnect.
        """
        if self.content_encoding:
            return await self._decoded(limit)
        return await self._received(limit)

    async def _received(self, limit: int | None) -> bytes:
        max_body = self.max_body if limit is None or limit > self.max_body else limit
        if self.content_length > max_body:
            raise self._too_large(max_body)
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientGone
        if not message.get("more_body", False):
            content: bytes = message.get("body", b"")
            if len(content) > max_body:
                raise self._too_large(max_body)
            return content
        return await self._rest(message, max_body)

    async def _rest(self, message: Message, max_body: int) -> bytes:
        parts, size = [], 0
        while True:
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > max_body:
                raise self._too_large(max_body)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone

    async def _decoded(self, limit: int | None) -> bytes:
        decode = decoder(self.content_encoding)
        content = await self._received(limit)
        if decode is None:
            return content
        max_body = self.max_body if limit is None or limit > self.max_body else limit
        if len(content) <= INLINE_DECODED:
            decoded = decode(content, max_body)
        else:
            decoded = await asyncio.to_thread(decode, content, max_body)
        if decoded is None:
            raise self._too_large(max_body)
        return decoded

    def _too_large(self, max_body: int) -> Problem:
        return too_large(max_body, is_setting=max_body == self.max_body)


class StreamedBody(Protocol):
    """A response body that is produced in chunks; its consumer closes it, whether or not it read any."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterates over the chunks, in order."""

    async def aclose(self) -> None:
        """Releases what the body holds."""


class Response:
    """An HTTP response. `headers` come after those that every response carries.

    Where there is a `stream`, it is the body, of unknown length.
    """

    __slots__ = ("body", "content_type", "headers", "status", "stream")

    def __init__(
        self, body: bytes, content_type: bytes = JSON, status: int = 200, headers: Headers = ()
    ) -> None:
        self.stream: StreamedBody | None = None
        self.body = body
        self.content_type = content_type
        self.status = status
        self.headers = headers


Handler = Callable[[Request], Awaitable[Response]]
