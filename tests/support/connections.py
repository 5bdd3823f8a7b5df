"""uvicorn in this process, with our connections, for tests of what they do."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import uvicorn
from tests.support.server import TIMEOUT

from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.web.asgi import AsgiService
from windlass.web.http.connections import Connections
from windlass.web.http.uvicorn_loop import DrainingLoop
from windlass.web.messages import Request, Response
from windlass.web.routing import Route
from windlass.web.server import ListenOptions, bind

_LARGE = bytes(30 << 20)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


def sized_service(max_body: int) -> AsgiService:
    """A service that answers the size of a body, or 30 MB, whole or in parts."""

    async def size(request: Request) -> Response:
        return Response(str(len(await request.body())).encode())

    async def large(_: Request) -> Response:
        return Response(_LARGE)

    async def stream(_: Request) -> Response:
        response = Response(b"")
        response.stream = _Parts()
        return response

    async def nothing() -> None:
        """Starts and stops."""

    routes = [
        Route("POST", "/size", size, label="/size"),
        Route("GET", "/large", large, label="/large"),
        Route("GET", "/stream", stream, label="/stream"),
    ]
    metrics = ServerMetrics(SharedCounters())
    return AsgiService(
        routes, metrics, max_body=max_body, lifespan=SimpleNamespace(start=nothing, stop=nothing)
    )


class _Parts:
    """A streamed body of 30 MB."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(_LARGE), 1 << 20):
            yield _LARGE[start : start + (1 << 20)]

    async def aclose(self) -> None:
        """Holds nothing."""


async def started(
    application: Any, connections: Connections, listener: socket.socket | None = None
) -> uvicorn.Server:
    """uvicorn, serving in the loop that runs."""
    factory: Any = connections  # uvicorn's type is narrower than its use
    config = uvicorn.Config(
        application,
        http=factory,
        ws="none",
        lifespan="off",
        log_config=None,
        port=0,
        proxy_headers=False,
        timeout_keep_alive=600,  # no connection ends for another reason than that under test
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=None if listener is None else [listener])
    return server


@contextmanager
def serving(application: Any, connections: Connections) -> Iterator[int]:
    """The port of a server that runs in a thread."""
    listener = bind(ListenOptions(port=0))
    ready, ended = threading.Event(), threading.Event()

    async def main() -> None:
        server = await started(application, connections, listener)
        ready.set()
        await asyncio.to_thread(ended.wait)
        await server.shutdown(sockets=[listener])

    def run() -> None:
        with asyncio.Runner(loop_factory=DrainingLoop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join(TIMEOUT)
