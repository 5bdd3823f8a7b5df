"""The event loop of a server: a stop takes what still waits at its sockets, and only then closes them."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import uvloop

from windlass.web.uvicorn_protocol import DrainingProtocol

_MAX_ACCEPTED = 4096  # connections at one stop; the kernel holds fewer


class DrainingLoop(uvloop.Loop):
    """uvloop, with servers that take what waits at their sockets as they close.

    The kernel completes connections by itself, and clients send their requests at once; a loop takes one
    connection a turn. Closing a socket resets all that wait there.
    """

    async def create_server(
        self, protocol_factory: Callable[[], Any], *path_params: Any, **options: Any
    ) -> Any:
        """As uvloop does; a server of a socket that is given takes what waits there as it closes."""
        server = await super().create_server(protocol_factory, *path_params, **options)
        given = options.get("sock")
        return server if given is None else _DrainingServer(self, server, given, protocol_factory)


class _DrainingServer:
    """A server in all that uvicorn asks of one."""

    def __init__(
        self,
        loop: DrainingLoop,
        server: asyncio.AbstractServer,
        listener: socket.socket,
        make_connection: Callable[[], DrainingProtocol],
    ) -> None:
        self._loop = loop
        self._server = server
        self._listener = listener
        self._make_connection = make_connection
        self._tasks: list[asyncio.Task[None]] = []

    def close(self) -> None:
        """Take what waits, and stop listening, with nothing in between that takes time."""
        waiting = list(_accept_waiting(self._listener))
        self._server.close()
        self._tasks = [self._loop.create_task(self._serve_last(client)) for client in waiting]

    async def wait_closed(self) -> None:
        """Return once all that waited is taken, and the server has closed."""
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _serve_last(self, client: socket.socket) -> None:
        """Have a connection answered like those that are there when a stop comes."""
        with suppress(OSError):  # it has gone meanwhile
            _, connection = await self._loop.connect_accepted_socket(self._make_draining, client)
            connection.shutdown()

    def _make_draining(self) -> DrainingProtocol:
        """A connection that ends with its first answer."""
        connection = self._make_connection()
        connection.draining = True
        return connection


def _accept_waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel holds for a socket."""
    for _ in range(_MAX_ACCEPTED):
        try:
            client, _ = listener.accept()
        except OSError:  # none is left; or no file descriptor for it
            return
        client.setblocking(False)
        yield client
