"""Event loop of a server: a stop accepts the connections that wait at its sockets before it closes them."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import uvloop

from windlass.web.http.connection import HttpConnection

_MAX_ACCEPTED = 4096  # connections at one stop; the kernel holds fewer


class DrainingLoop(uvloop.Loop):
    """uvloop, with servers that accept the connections that wait at their sockets as they close.

    The kernel completes connections by itself, and clients send their requests at once; a loop accepts one
    connection an iteration. Closing a socket resets all that wait there.
    """

    async def create_server(
        self, protocol_factory: Callable[[], Any], *path_params: Any, **options: Any
    ) -> Any:
        """Creates a server as uvloop does; one of a given socket accepts what waits there as it closes."""
        listener = options.get("sock")
        if listener is None:
            return await super().create_server(protocol_factory, *path_params, **options)
        draining = _DrainingServer(self, listener, protocol_factory)
        draining.server = await super().create_server(
            draining.make_connection, *path_params, **options
        )
        return draining


class _DrainingServer:
    """Server with the two methods that uvicorn calls: `close` and `wait_closed`.

    `server` is uvloop's, which accepts what comes until then.
    """

    server: asyncio.AbstractServer

    def __init__(
        self,
        loop: DrainingLoop,
        listener: socket.socket,
        make_connection: Callable[[], HttpConnection],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._make_connection = make_connection
        self._connections: WeakSet[HttpConnection] = WeakSet()
        self._tasks: list[asyncio.Task[None]] = []

    def make_connection(self) -> HttpConnection:
        """Returns a connection, which uvicorn knows only from the next turn of the loop on."""
        connection = self._make_connection()
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Accepts what waits, and stops listening, with nothing in between that takes time."""
        waiting = list(_accept_waiting(self._listener))
        self.server.close()
        for connection in self._connections:
            connection.draining = True
        self._tasks = [self._loop.create_task(self._serve_last(client)) for client in waiting]

    async def wait_closed(self) -> None:
        """Returns once all that waited is accepted, and the server has closed."""
        await asyncio.gather(*self._tasks)
        await self.server.wait_closed()

    async def _serve_last(self, client: socket.socket) -> None:
        """Serves a connection like those that are open when a stop comes."""
        with suppress(OSError):  # the client has disconnected meanwhile
            await self._loop.connect_accepted_socket(self._make_draining, client)

    def _make_draining(self) -> HttpConnection:
        """Returns a connection that ends with its first response."""
        connection = self._make_connection()
        connection.draining = True
        return connection


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Yields the connections that the kernel holds for a socket."""
    for _ in range(_MAX_ACCEPTED):
        try:
            client, _ = listener.accept()
        except OSError:  # none is left; or no file descriptor for it
            return
        client.setblocking(False)
        yield client
