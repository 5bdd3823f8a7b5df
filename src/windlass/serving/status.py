"""What a server tells of itself: health, readiness, status and metrics."""

import logging
import os
from collections.abc import Sequence
from time import time
from typing import Any

import orjson

from windlass.errors import Fault
from windlass.monitoring.metrics import BOUNDS, MetricsSnapshot, ServerMetrics, quantiles
from windlass.monitoring.prometheus import expose
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

_OK = orjson.dumps({"status": "ok"})
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_EMPTY = (0.0,) * (len(BOUNDS) + 1)
_log = logging.getLogger("windlass.serving")


class StatusRoutes:
    """The routes about the server itself."""

    def __init__(self, hosted: Sequence[ServedProject], telemetry: ServerMetrics) -> None:
        self._hosted = hosted
        self._telemetry = telemetry
        self._started = time()
        self._last = self._started, list(_EMPTY)

    async def alive(self, _: Request) -> Response:
        """`GET /health`, `/livez`: the process answers."""
        return Response(_OK)

    async def ping(self, _: Request) -> Response:
        """`GET /ping`: 200 and an empty body where every project is ready, else 503."""
        self._require_ready()
        return Response(b"", b"text/plain")

    async def ready(self, _: Request) -> Response:
        """`GET /readyz`: 200 once every project's version has proven itself, else 503 with the reasons."""
        self._require_ready()
        return Response(orjson.dumps({"status": "ready"}))

    def is_ready(self) -> bool:
        """Whether every project answers."""
        return all(hosted.lack is None for hosted in self._hosted)

    def _require_ready(self) -> None:
        waiting: list[Fault] = [
            {"loc": [hosted.name], "msg": hosted.lack}
            for hosted in self._hosted
            if hosted.lack is not None
        ]
        if waiting:
            raise Problem(503, "Not every project is ready.", waiting, [(b"retry-after", b"1")])

    async def metrics(self, exchange: Request) -> Response:
        """`GET /metrics`: one aggregate over all workers."""
        live = {
            hosted.name: hosted.model.version for hosted in self._hosted if hosted.model is not None
        }
        ages = {
            hosted.name: age
            for hosted in self._hosted
            if hosted.online is not None and (age := hosted.online.age()) is not None
        }
        accept = exchange.accept.decode("latin-1")
        body, kind = expose(self._telemetry.snapshot(), live, accept, self._started, ages)
        return Response(body, kind.encode())

    async def status(self, _: Request) -> Response:
        """`GET /status` of the whole server: every project's."""
        snapshot = self._telemetry.snapshot()
        projects = [self._project(hosted, snapshot) for hosted in self._hosted]
        return Response(orjson.dumps({"uptime_seconds": self._uptime(), "projects": projects}))

    async def project_status(self, hosted: ServedProject) -> Response:
        """`GET /{project}/status`, at the root too where there is one project."""
        return Response(orjson.dumps(self._project(hosted, self._telemetry.snapshot())))

    def _uptime(self) -> float:
        return round(time() - self._started, 3)

    def _project(self, hosted: ServedProject, snapshot: MetricsSnapshot) -> dict[str, Any]:
        model = hosted.model
        mine = [h for h in snapshot.histograms if h.project == hosted.name]
        found = quantiles([h.buckets for h in mine], list(_QUANTILES.values()))
        mix: dict[str, float] = {}
        if model is not None:
            mix = snapshot.predictions.get((hosted.name, model.version), {})
        return {
            "project": hosted.name,
            "uptime_seconds": self._uptime(),
            **hosted.told(),
            "requests": int(sum(h.count for h in mine)),
            "errors": int(sum(h.count for h in mine if h.status[0] in "45")),
            "latency_seconds": dict(zip(_QUANTILES, found, strict=True)),
            "predictions": int(sum(mix.values())),
            "class_mix": {label: int(count) for label, count in mix.items() if label},
            "ledger": hosted.ledger is not None,
            "drift": None,
        }

    def log_rate(self) -> None:
        """Write the periodic line: rate and latency quantiles of the requests since the last one."""
        now, counts = time(), _buckets(self._telemetry.snapshot())
        then, before = self._last
        self._last = now, counts
        recent = [count - old for count, old in zip(counts, before, strict=True)]
        found = quantiles([recent], list(_QUANTILES.values()))
        latency: dict[str, float | None] = {
            f"{name}_ms": None if value is None else round(value * 1e3, 3)
            for name, value in zip(_QUANTILES, found, strict=True)
        }
        rate = round(sum(recent) / max(now - then, 1e-9), 1)
        facts: dict[str, float | None] = {
            "worker": os.getpid(),
            "requests_per_second": rate,
            "requests": int(sum(counts)),
        }
        _log.info("rate", extra=facts | latency)


def _buckets(snapshot: MetricsSnapshot) -> list[float]:
    """Requests of every kind, by latency bucket."""
    return [
        sum(column)
        for column in zip(_EMPTY, *(h.buckets for h in snapshot.histograms), strict=True)
    ]
