"""One request and its answer: what handlers read, and what they return."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import parse_qsl

from windlass.web.problems import too_large

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
SEND_WHOLE = "windlass.whole"  # the ASGI extension of our own connections: status, head and body at one stroke

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch


class ClientGone(Exception):  # noqa: N818 - an event, not a fault
    """The client hung up before its request was whole; there is nobody to answer."""


class Request:
    """A request on its way to an answer. `parsed`, `fetched` and `predicted` are times, for Server-Timing."""

    __slots__ = (
        "accept",
        "actor",
        "content_length",
        "content_type",
        "fetched",
        "id",
        "max_body",
        "parsed",
        "path_params",
        "predicted",
        "project",
        "rate_limit_headers",
        "receive",
        "request_id",
        "scope",
        "started",
        "version",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, identity: str, max_body: int) -> None:
        self.started = perf_counter()
        self.parsed = self.fetched = self.predicted = 0.0
        self.scope = scope
        self.id = identity
        self.request_id = identity.encode()
        self.max_body = max_body
        self.project = ""  # where the path names it, and not the route
        self.version = ""
        self.actor = ""  # the name of the caller's key; empty where keys are not asked for
        self.rate_limit_headers = b""  # RateLimit fields as lines, where that key has a rate
        self.path_params: dict[str, str] = {}
        self.content_type = b""
        self.content_length = -1
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

    def header(self, name: bytes) -> bytes | None:
        """The first header of this name (lower case)."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def media_type(self) -> str:
        """The content type without its parameters, lower case; empty where none was sent."""
        return self.content_type.partition(b";")[0].strip().lower().decode("latin-1")

    async def body(self) -> bytes:
        """The whole body. Raises Problem 413 as soon as it is over the limit, ClientGone on a hang-up."""
        if self.content_length > self.max_body:
            raise too_large(self.max_body)
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientGone
        if not message.get("more_body", False):
            content: bytes = message.get("body", b"")
            if len(content) > self.max_body:
                raise too_large(self.max_body)
            return content
        return await self._rest(message)

    async def _rest(self, message: Message) -> bytes:
        parts, size = [], 0
        while True:
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body:
                raise too_large(self.max_body)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone


class StreamedBody(Protocol):
    """Parts of a body, as they come. Whoever is given them closes them, whether or not it read any."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The parts, in order."""

    async def aclose(self) -> None:
        """Give back what they hold."""


class Response:
    """What a handler returns. `headers` are beside those that every answer carries.

    Where there is a `stream`, it is the body, of a length that nobody knows yet.
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
