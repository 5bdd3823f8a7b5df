"""A server of control alone, as `windlass serve` mounts it: `python -m tests.support.control_server PORT PROJECT …`.

PATIENCE in the environment says how many seconds a call may take, HEARTBEAT how many lie between two of a stream.
"""

import asyncio
import os
import sys

from windlass.control import job_events
from windlass.control.app import Control
from windlass.logs import set_up_logs
from windlass.monitoring.metrics import Telemetry
from windlass.monitoring.shared_counters import Cells
from windlass.settings import Settings
from windlass.web import worker_pool
from windlass.web.asgi import Service
from windlass.web.authentication import Guard
from windlass.web.messages import Answer, Exchange
from windlass.web.openapi import Book, Chapter, Operation
from windlass.web.routing import Route
from windlass.web.server import Listen, bind, serve
from windlass.web.swagger_ui import Docs

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
    worker_pool.PATIENCE_SECONDS = float(os.environ.get("PATIENCE", worker_pool.PATIENCE_SECONDS))
    job_events.HEARTBEAT_SECONDS = float(os.environ.get("HEARTBEAT", job_events.HEARTBEAT_SECONDS))
    listen = Listen(port=int(sys.argv[1]))
    serve(app, listen, bind(listen))
