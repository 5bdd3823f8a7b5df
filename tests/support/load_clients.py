"""Clients that send requests without pause, each on a connection of its own, and count the answers."""

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.server import FLOWER, TIMEOUT, post

from windlass.web.http.connection_limits import ConnectionLimits


@dataclass
class LoadResult:
    """Answers of clients; `failures` are requests that were sent on an open connection and not answered whole."""

    ids: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Load:
    """`clients` keep-alive clients in a thread; each ends when its server closes the connection.

    With `again`, a client whose connection was closed opens another, as long as the server takes it.
    """

    def __init__(self, port: int, *, clients: int = 8, again: bool = False) -> None:
        self.result = LoadResult()
        self._port, self._clients, self._again = port, clients, again
        self._stopped = threading.Event()
        self._answered = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._answered.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self) -> None:
        while not self._stopped.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return
            try:
                await self._talk(reader, writer)
            finally:
                writer.close()
            if not self._again:
                return

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = post("/predict", json.dumps(FLOWER).encode())
        answered = time.monotonic()
        while not self._stopped.is_set():
            idle = time.monotonic() - answered
            try:
                writer.write(request)
                status, closing, body = await _answer(reader)
            except (OSError, EOFError) as error:
                if idle < ConnectionLimits.idle_drain / 2:  # else this machine was busy elsewhere
                    self.result.failures.append(repr(error))
                return
            answered = time.monotonic()
            self.result.statuses[status] += 1
            if status == 200:
                self.result.ids.append(json.loads(body)["prediction_id"])
                self._answered.set()
            if closing:
                return


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    return int(head.split()[1]), "connection: close" in head, body
