"""Runs an application under uvicorn, with connections that drain without losing a request."""

import ctypes
import os
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
from windlass.web.http.connection_limits import ConnectionLimits
from windlass.web.http.connections import Connections

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_BACKLOG = 2048  # connections that may wait; uvicorn's own number


@dataclass(frozen=True)
class ListenOptions:
    """Address and processes of a server. `grace` is the longest that a stop may take, in seconds.

    `max_connections` is for each process.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    grace: int = 30
    max_connections: int = 1000


class _Supervisor(Multiprocess):
    """Supervisor of several workers on one socket, which accepts nothing new once it stops.

    It alone receives Ctrl+C, and stops its workers: one that still starts would end with a traceback.
    """

    def init_processes(self) -> None:
        """Starts the workers."""
        with _sigint_blocked():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Replaces workers that have ended."""
        with _sigint_blocked():
            super().keep_subprocess_alive()

    def handle_signals(self) -> None:
        """Handles signals, which may start workers."""
        with _sigint_blocked():
            super().handle_signals()

    def terminate_all(self) -> None:
        """Closes the socket in this process too, so that it is gone with the last worker."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Blocks SIGINT in this thread for a while, and for good in the processes that it starts meanwhile."""
    resource_tracker.ensure_running()  # if it started with the first process, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(make_app: Callable[[], Any], listen: ListenOptions, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns. `make_app` must be picklable for workers."""
    config = uvicorn.Config(
        make_app,
        factory=True,
        host=listen.host,
        port=listen.port,
        workers=listen.workers,
        loop="windlass.web.http.uvicorn_loop:DrainingLoop",
        http=Connections(ConnectionLimits(connections=listen.max_connections)),  # type: ignore[arg-type]  # it makes them
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
    # uvicorn raises the signal again once it has drained; there is nothing left to do but return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    uvicorn.Server(config).run(sockets=[listener])


def end_with_parent() -> None:
    """Makes this worker end when its supervisor is killed, for it would keep the port.

    First asks the kernel for a signal, then looks whether it is too late for one. Raises SystemExit where it is.
    """
    supervisor = parent_process()
    if supervisor is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor.pid:
        raise SystemExit("windlass: the server was killed while this worker started.")


def _ignore(number: int, frame: object) -> None:
    """Does nothing: a signal handler."""


def bind(listen: ListenOptions) -> socket.socket:
    """Returns a socket that listens; connections wait there until a server accepts them.

    Raises SettingsError where the address cannot be bound.
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
