"""Request and response: what handlers read and return."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import parse_qsl

from windlass.web.content_encoding import decoder
from windlass.web.problems import Problem, busy, too_large
from windlass.web.request_head import Headers, RequestHead

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
SEND_WHOLE = "windlass.whole"  # ASGI extension of our connections: sends status, headers and body in one write

INLINE_DECODED = 4 << 10  # encoded bytes that are decoded on the event loop
INLINE_JOINED = 1 << 20  # bytes of a body that are joined on the event loop
# key of the ASGI state: the asyncio.Event that is set when the server drains
SHUTDOWN_EVENT = "windlass.ending"


class ClientGone(Exception):  # noqa: N818 - an event, not a fault
    """The client disconnected before its request was complete."""


class Request:
    """An HTTP request. `started`, `parsed`, `fetched` and `predicted` are times in seconds, for Server-Timing.

    `client` and `server` are the addresses of the connection. `whole` is the body where all of it came with the head;
    elsewhere it is None, and `receive` gives its parts.
    """

    __slots__ = (
        "accept", "actor", "budget", "charged", "client", "content_type", "fetched", "head", "id", "max_body", "parsed",
        "path_params", "predicted", "project", "rate_limit_headers", "receive", "request_id", "server", "shutdown",
        "started", "version", "whole",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead, identity: str, max_body: int, *, client: str = "", server: str = ""
    ) -> None:
        self.started = perf_counter()
        self.parsed = self.fetched = self.predicted = 0.0
        self.head = head
        self.id = identity
        self.request_id = head.request_id or identity.encode()
        self.content_type, self.accept = head.content_type, head.accept
        self.client, self.server = client, server
        self.max_body = max_body
        self.project = ""  # where the path names it, not the route
        self.version = ""
        self.actor = ""  # the name of the caller's key; empty where WINDLASS_AUTH is off
        self.rate_limit_headers = b""  # header lines, where that key has a rate limit
        self.path_params: dict[str, str] = {}
        self.whole: bytes | None = None
        self.receive: Receive = _receive_nothing
        self.budget: BodyBudget | None = None
        self.charged = 0  # bytes of the budget that it holds
        self.shutdown: asyncio.Event | None = None  # set when the server drains

    @classmethod
    def from_scope(cls, scope: Scope, receive: Receive, identity: str, max_body: int) -> "Request":
        """Returns the request of an ASGI scope."""
        client, server = scope.get("client"), scope.get("server")
        request = cls(
            RequestHead.from_scope(scope),
            identity,
            max_body,
            client=str(client[0]) if client else "",
            server=str(server[0]) if server else "",
        )
        request.receive = receive
        request.shutdown = scope.get("state", {}).get(SHUTDOWN_EVENT)
        return request

    def header(self, name: bytes) -> bytes | None:
        """Returns the first header of this lower-case name."""
        return self.head.header(name)

    def query(self) -> dict[str, str]:
        """Returns the query parameters; a route with a role has none twice."""
        return dict(parse_qsl(self.head.query_string.decode("latin-1"), keep_blank_values=True))

    def media_type(self) -> str:
        """Returns the content type in lower case, without parameters; empty where none was sent."""
        return self.content_type.partition(b";")[0].strip().lower().decode("latin-1")

    async def body(self, limit: int | None = None) -> bytes:
        """Returns the complete body, decoded where it has a content encoding.

        `limit` is in bytes, below the server's own. Raises Problem 413 as soon as the body is over the limit, before
        decoding or after it; 415 or 400 for an encoding that is not read; 503 where the bodies of all requests are
        over their budget; ClientGone on a disconnect.
        """
        if self.head.content_encoding:
            return await self._decoded(limit)
        return await self._received(limit)

    def whole_body(self, limit: int) -> bytes:
        """Returns the body, all of which came with the head. Raises Problem 413 where it is over a limit in bytes."""
        assert self.whole is not None
        if len(self.whole) > self._limit(limit):
            raise self._too_large(self._limit(limit))
        return self.whole

    def _limit(self, limit: int | None) -> int:
        return self.max_body if limit is None else min(limit, self.max_body)

    async def _received(self, limit: int | None) -> bytes:
        max_body = self._limit(limit)
        if self.head.content_length > max_body:
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
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > max_body:
                raise self._too_large(max_body)
            if self.budget is not None:
                self.budget.charge(self, len(part))
            if not message.get("more_body", False):
                if size <= INLINE_JOINED:
                    return b"".join(parts)
                return await asyncio.to_thread(b"".join, parts)
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone

    async def _decoded(self, limit: int | None) -> bytes:
        decode = decoder(self.head.content_encoding)
        content = await self._received(limit)
        if decode is None:
            return content
        max_body = self._limit(limit)
        if len(content) <= INLINE_DECODED:
            decoded = decode(content, max_body)
        else:
            decoded = await asyncio.to_thread(decode, content, max_body)
        if decoded is None:
            raise self._too_large(max_body)
        if self.budget is not None:
            self.budget.charge(self, len(decoded))
        return decoded

    def _too_large(self, max_body: int) -> Problem:
        return too_large(max_body, is_setting=max_body == self.max_body)


class BodyBudget:
    """Bytes that the bodies which come in parts may hold together, in one process."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def charge(self, request: Request, size: int) -> None:
        """Takes `size` bytes for a request. Raises Problem 503 where there are not so many left."""
        if size > self._left:
            raise busy("The bodies of other requests take all the memory that there is for them.")
        self._left -= size
        request.charged += size

    def release(self, request: Request) -> None:
        """Gives back what a request holds."""
        self._left += request.charged
        request.charged = 0


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}


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
