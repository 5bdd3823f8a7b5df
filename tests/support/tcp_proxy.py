"""A TCP proxy to a service on this machine, which a test can cut, or have swallow what is sent."""

import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import pytest
from sqlalchemy import make_url

LOOK = 0.02  # s after which a connection without traffic asks whether the wire was cut


class TcpProxy:
    """Forwards connections to `target`, a port. `cut` ends them and takes no more; `mute` leaves them silent.

    `swallowed` has each connection on which something was sent that was not forwarded.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.cuts = 0
        self.is_cut = self.is_mute = False
        self.swallowed: set[object] = set()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()  # when every connection has ended

    def cut(self) -> None:
        """End every connection, and each new one as it comes."""
        self.is_cut = True
        self.cuts += 1

    def mute(self) -> None:
        """Forward nothing more on any connection, and say nothing of it."""
        self.is_mute = True

    def mend(self) -> None:
        """Forward new connections again; those that were silent stay so."""
        self.is_cut = self.is_mute = False


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, wire: TcpProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.wire = wire


class _Connection(socketserver.BaseRequestHandler):
    """One connection and its counterpart at the service; both are closed when it returns."""

    server: _Server

    def handle(self) -> None:
        wire, cuts = self.server.wire, self.server.wire.cuts
        if wire.is_cut:
            return
        with suppress(OSError), socket.create_connection(("127.0.0.1", wire.target)) as onward:
            peers = {self.request: onward, onward: self.request}
            silent = False
            while wire.cuts == cuts:
                for ready in select.select(peers, (), (), LOOK)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    silent = silent or wire.is_mute
                    if silent:
                        wire.swallowed.add(self)
                    else:
                        peers[ready].sendall(data)


@pytest.fixture
def wire(migrated_postgres_url: str) -> Iterator[TcpProxy]:
    """A wire to PostgreSQL."""
    with TcpProxy(make_url(migrated_postgres_url).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def wired_url(migrated_postgres_url: str, wire: TcpProxy) -> str:
    """The URL of an empty PostgreSQL database, by way of the wire; its silence is borne for two seconds."""
    url = make_url(migrated_postgres_url).set(port=wire.port)
    short = url.update_query_dict({"connect_timeout": "2", "tcp_user_timeout": "2000"})
    return short.render_as_string(hide_password=False)
