"""A server of control alone, as `windlass serve` mounts it: `python -m tests.support.control_server PORT PROJECT …`.

TIMEOUT in the environment says how many seconds a call may take, HEARTBEAT how many lie between two of a stream.
"""

import asyncio
import os
import sys
from types import SimpleNamespace

from windlass.control.app import ControlPlane
from windlass.control.backend import ControlTimings
from windlass.logs import set_up_logs
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.settings import Settings
from windlass.web.asgi import AsgiService
from windlass.web.authentication import Authenticator
from windlass.web.cross_origin_protection import CrossOriginProtection
from windlass.web.messages import Request, Response
from windlass.web.openapi import OpenApiDocument, OpenApiSection, Operation
from windlass.web.routing import Route
from windlass.web.server import ListenOptions, bind, serve
from windlass.web.swagger_ui import DocsRoutes

HEALTH = OpenApiSection(
    {"/readyz": Operation("Readiness", "It answers.")},
    lambda: {"Any": {"type": "object"}, "Text": {"type": "string"}, "Problem": {"type": "object"}},
)


async def ready(_: Request) -> Response:
    return Response(b"{}")


def app() -> AsgiService:
    settings, names = Settings.read(), sys.argv[2:]
    set_up_logs(settings.log_level)
    timings = ControlTimings(
        call=float(os.environ.get("TIMEOUT", ControlTimings.call)),
        heartbeat=float(os.environ.get("HEARTBEAT", ControlTimings.heartbeat)),
    )
    control = ControlPlane.from_settings(settings, names, timings)
    routes = [Route("GET", "/readyz", ready, label="/readyz"), *control.routes]
    docs = DocsRoutes(
        lambda: OpenApiDocument(names, "Control.", [HEALTH, control.section]),
        routes,
        control.refresh,
    )
    authenticator = Authenticator.from_settings(settings)

    async def start() -> None:
        if authenticator is not None:
            await asyncio.to_thread(authenticator.start)

    async def stop() -> None:
        if authenticator is not None:
            await asyncio.to_thread(authenticator.stop)
        control.close()

    return AsgiService(
        [*routes, *(Route(r.method, r.path, r.handler, label=r.path) for r in docs.routes())],
        ServerMetrics(SharedCounters()),
        max_body=settings.max_body,
        lifespan=SimpleNamespace(start=start, stop=stop),
        access=authenticator or CrossOriginProtection(settings.allowed_hosts),
    )


if __name__ == "__main__":
    listen = ListenOptions(port=int(sys.argv[1]))
    serve(app, listen, bind(listen))
