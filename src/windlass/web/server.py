"""The HTTP server around an application: uvicorn, with connections that drain without losing a request."""

import ctypes
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process, resource_tracker
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from windlass.errors import SettingsError
from windlass.web.uvicorn_protocol import DrainingProtocol

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_BACKLOG = 2048  # connections that may wait; uvicorn's own number


@dataclass(frozen=True)
class ListenOptions:
    """Where and how to serve. `grace` is the longest that a stop may take, in seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    grace: int = 30


class _Supervisor(Multiprocess):
    """Several workers on one socket; it takes nothing new once a stop was asked for.

    Ctrl+C is for it alone to hear, and it tells its workers: one that still starts would end with a traceback.
    """

    def init_processes(self) -> None:
        """Start the workers."""
        with _sigint_blocked():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have ended."""
        with _sigint_blocked():
            super().keep_subprocess_alive()

    def handle_signals(self) -> None:
        """Do what was asked by signals, which may start workers."""
        with _sigint_blocked():
            super().handle_signals()

    def terminate_all(self) -> None:
        """Close the socket in this process too, so that the last worker's closing ends it."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Hold SIGINT back from this thread for a while, and for good from the processes that it starts meanwhile."""
    resource_tracker.ensure_running()  # its start, else within that of the first process, would let SIGINT through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(make_app: Callable[[], Any], listen: ListenOptions, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. `make_app` must be picklable for workers."""
    config = uvicorn.Config(
        make_app,
        factory=True,
        host=listen.host,
        port=listen.port,
        workers=listen.workers,
        loop="windlass.web.uvicorn_loop:DrainingLoop",
        http=DrainingProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=listen.grace,
        timeout_keep_alive=65,
    )
    if listen.workers > 1:
        _Supervisor(config, sockets=[listener]).run()
        return
    # uvicorn hands a signal on once it has drained; by then there is nothing left to do but return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    uvicorn.Server(config).run(sockets=[listener])


def end_with_parent() -> None:
    """Have the kernel end a worker whose supervisor was killed: it would keep the port for nobody."""
    if parent_process() is not None and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _ignore(number: int, frame: object) -> None:
    """A signal handler that does nothing."""


def bind(listen: ListenOptions) -> socket.socket:
    """The socket to serve on, which connections reach at once and wait at until a server takes them.

    Raises SettingsError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((listen.host, listen.port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {listen.host}:{listen.port}: {error}. Free the port, or choose another with --port."
        ) from error
    listener.set_inheritable(True)
    return listener
