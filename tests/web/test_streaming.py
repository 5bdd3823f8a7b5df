"""Answers sent part by part, against a client that is played here."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.server import TIMEOUT

from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.web.asgi import AsgiService
from windlass.web.messages import SHUTDOWN_EVENT, Message, Request, Response
from windlass.web.routing import Route
from windlass.web.streaming import send_stream


class Parts:
    """Parts of a body that record whether they were closed; `fails` after the last one, or waits for ever."""

    def __init__(self, *parts: bytes, fails: bool = False, ends: bool = True) -> None:
        self.parts, self.fails, self.ends = parts, fails, ends
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.fails:
            raise ValueError("no more")
        if not self.ends:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


class Client:
    """Sends one request to a service, and keeps the messages of the response."""

    def __init__(self, parts: Parts, *, reads: bool = True, goes: bool = False) -> None:
        self.parts, self.reads, self.goes = parts, reads, goes
        self.messages: list[Message] = []
        self.requests = 0
        self.ending, self.begun = asyncio.Event(), asyncio.Event()

    async def ask(self, method: str = "GET") -> None:
        service = AsgiService(
            [Route("GET", "/events", self.handler, label="/events")],
            ServerMetrics(SharedCounters()),
            max_body=1000,
            lifespan=self,
        )
        await asyncio.wait_for(service(self.scope(method), self.receive, self.send), TIMEOUT)

    async def start(self) -> None:
        """Nothing to acquire."""

    async def stop(self) -> None:
        """Nothing to release."""

    def scope(self, method: str = "GET") -> dict[str, Any]:
        return {"type": "http", "method": method, "path": "/events", "headers": [],
                "query_string": b"", "state": {SHUTDOWN_EVENT: self.ending}}  # fmt: skip

    async def handler(self, _: Request) -> Response:
        answer = Response(b"", b"text/event-stream")
        answer.stream = self.parts
        return answer

    async def receive(self) -> Message:
        self.requests += 1
        if self.requests == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self.goes:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self.reads and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.messages.append(message)
        if message.get("body"):
            self.begun.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def is_whole(self) -> bool:
        return not self.messages[-1].get("more_body", False)


def run(client: Client, method: str = "GET") -> dict[Any, Any]:
    asyncio.run(client.ask(method))
    assert client.parts.closed
    return dict(client.messages[0]["headers"])


def test_parts_follow_one_another_without_a_length() -> None:
    client = Client(Parts(b"one ", b"two"))
    headers = run(client)
    assert (client.body, client.is_whole) == (b"one two", True)
    assert headers[b"content-type"] == b"text/event-stream"
    assert b"content-length" not in headers
    assert b"x-request-id" in headers


def test_head_reads_no_part() -> None:
    client = Client(Parts(b"one"))
    run(client, "HEAD")
    assert (client.body, client.is_whole) == (b"", True)


def test_it_ends_as_its_client_goes() -> None:
    client = Client(Parts(b"one", ends=False), goes=True)
    run(client)
    assert not any(message.get("body") == b"" for message in client.messages)


def test_it_ends_as_the_server_drains() -> None:
    async def drained() -> Client:
        client = Client(Parts(b"one", ends=False))
        asking = asyncio.create_task(client.ask())
        await asyncio.wait_for(client.begun.wait(), TIMEOUT)
        client.ending.set()
        await asking
        return client

    client = asyncio.run(drained())
    assert (client.body, client.is_whole, client.parts.closed) == (b"one", True, True)


def test_a_client_that_does_not_read_is_given_up() -> None:
    client = Client(Parts(b"one", b"two"), reads=False)
    request = Request.from_scope(client.scope(), client.receive, "id", 1000)

    async def sent() -> bool:
        response = await client.handler(request)
        sending = send_stream(request, response, [], client.send, stall_seconds=0.05)
        return await asyncio.wait_for(sending, TIMEOUT)

    assert not asyncio.run(sent())
    assert client.parts.closed
    assert [message["type"] for message in client.messages] == ["http.response.start"]


def test_parts_that_fail_are_logged_and_leave_the_answer_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client(Parts(b"one", fails=True))
    with caplog.at_level(logging.ERROR, "windlass.serving"):
        run(client)
    assert (client.body, client.is_whole) == (b"one", False)
    assert "stream failed" in caplog.messages
