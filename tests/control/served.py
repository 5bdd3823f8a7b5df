"""A server of control alone, as `windlass serve` mounts it: `python -m tests.control.served PORT PROJECT …`.

PATIENCE in the environment says how many seconds a call may take, HEARTBEAT how many lie between two of a stream.
"""

import asyncio
import os
import sys

from windlass.control import events, pool
from windlass.control.control import Control
from windlass.logs import set_up_logs
from windlass.monitoring.cells import Cells
from windlass.monitoring.telemetry import Telemetry
from windlass.settings import Settings
from windlass.web.docs import Docs
from windlass.web.exchange import Answer, Exchange
from windlass.web.guard import Guard
from windlass.web.openapi import Book
from windlass.web.operation import Chapter, Operation
from windlass.web.routing import Route
from windlass.web.server import Listen, bind, serve
from windlass.web.service import Service

HEALTH = Chapter(
    {"/readyz": Operation("Readiness", "It answers.")},
    lambda: {"Any": {"type": "object"}, "Text": {"type": "string"}, "Problem": {"type": "object"}},
)


async def ready(_: Exchange) -> Answer:
    return Answer(b"{}")


def app() -> Service:
    settings, names = Settings.read(), sys.argv[2:]
    set_up_logs(settings.log_level)
    control = Control.of(settings, names)
    routes = [Route("GET", "/readyz", ready, label="/readyz"), *control.routes]
    docs = Docs(
        lambda: Book(names, "Control.", [HEALTH, control.chapter]), routes, learn=control.learn
    )
    guard = Guard.of(settings)

    async def start() -> None:
        if guard is not None:
            await asyncio.to_thread(guard.start)

    async def stop() -> None:
        if guard is not None:
            await asyncio.to_thread(guard.stop)
        control.close()

    return Service(
        [*routes, *(Route(r.method, r.path, r.handler, label=r.path) for r in docs.routes())],
        Telemetry(Cells()),
        max_body=settings.max_body,
        start=start,
        stop=stop,
        guard=guard,
    )


if __name__ == "__main__":
    pool.PATIENCE_SECONDS = float(os.environ.get("PATIENCE", pool.PATIENCE_SECONDS))
    events.HEARTBEAT_SECONDS = float(os.environ.get("HEARTBEAT", events.HEARTBEAT_SECONDS))
    listen = Listen(port=int(sys.argv[1]))
    serve(app, listen, bind(listen))
