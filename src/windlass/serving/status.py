"""Routes about the server itself: health, readiness, status and metrics."""

import asyncio
import logging
import os
from collections.abc import Sequence
from time import time
from typing import Any

import orjson

from windlass.errors import Fault
from windlass.monitoring.ledger_retention import ledger_bytes
from windlass.monitoring.metrics import BUCKET_BOUNDS, MetricsSnapshot, ServerMetrics, quantiles
from windlass.monitoring.prometheus import render_metrics
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

_OK = orjson.dumps({"status": "ok"})
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_EMPTY = (0.0,) * (len(BUCKET_BOUNDS) + 1)
_log = logging.getLogger("windlass.serving")


class StatusRoutes:
    """Routes about the server itself."""

    def __init__(self, projects: Sequence[ServedProject], metrics: ServerMetrics) -> None:
        self._projects = projects
        self._metrics = metrics
        self._started = time()
        self._last_rate = self._started, list(_EMPTY)  # time and counts of the last log line

    async def alive(self, _: Request) -> Response:
        """Answers `GET /health` and `/livez`: 200 while the process runs."""
        return Response(_OK)

    async def ping(self, _: Request) -> Response:
        """Answers `GET /ping`: 200 and an empty body once every project is ready, else 503."""
        self._require_ready()
        return Response(b"", b"text/plain")

    async def ready(self, _: Request) -> Response:
        """Answers `GET /readyz`: 200 once every project is ready, else 503 with the reasons."""
        self._require_ready()
        return Response(orjson.dumps({"status": "ready"}))

    def is_ready(self) -> bool:
        """Returns whether every project is ready."""
        return all(project.unready_reason is None for project in self._projects)

    def _require_ready(self) -> None:
        reasons: list[Fault] = [
            {"loc": [project.name], "msg": project.unready_reason}
            for project in self._projects
            if project.unready_reason is not None
        ]
        if reasons:
            raise Problem(503, "Not every project is ready.", reasons, [(b"retry-after", b"1")])

    async def metrics(self, request: Request) -> Response:
        """Answers `GET /metrics`: one aggregate over all workers."""
        live = {
            project.name: project.model.version
            for project in self._projects
            if project.model is not None
        }
        ages = {
            project.name: age
            for project in self._projects
            if project.online is not None and (age := project.online.age()) is not None
        }
        ledgers = {
            project.name: await asyncio.to_thread(ledger_bytes, project.ledger.folder)
            for project in self._projects
            if project.ledger is not None
        }
        accept, snapshot = request.accept.decode("latin-1"), self._metrics.snapshot()
        body, kind = render_metrics(snapshot, live, accept, self._started, ages, ledgers)
        return Response(body, kind.encode())

    async def status(self, _: Request) -> Response:
        """Answers `GET /status` of a server of several projects."""
        snapshot = self._metrics.snapshot()
        statuses = [self._project_status(project, snapshot) for project in self._projects]
        return Response(orjson.dumps({"uptime_seconds": self._uptime(), "projects": statuses}))

    async def project_status(self, project: ServedProject, _: Request) -> Response:
        """Answers `GET /{project}/status`, and `/status` where there is one project."""
        return Response(orjson.dumps(self._project_status(project, self._metrics.snapshot())))

    def _uptime(self) -> float:
        return round(time() - self._started, 3)

    def _project_status(self, project: ServedProject, snapshot: MetricsSnapshot) -> dict[str, Any]:
        model = project.model
        histograms = [h for h in snapshot.histograms if h.project == project.name]
        latencies = quantiles([h.buckets for h in histograms], list(_QUANTILES.values()))
        mix: dict[str, float] = {}
        unseen: dict[str, int | None] = {}
        if model is not None:
            mix = snapshot.predictions.get((project.name, model.version), {})
            counts = snapshot.unseen_categories.get((project.name, model.version), {})
            unseen = {column: int(count) for column, count in counts.items()}
            unseen |= dict.fromkeys(model.seen_categories.unknown)
        return {
            "project": project.name,
            "uptime_seconds": self._uptime(),
            **project.status(),
            "requests": int(sum(h.count for h in histograms)),
            "errors": int(sum(h.count for h in histograms if h.status[0] in "45")),
            "latency_seconds": dict(zip(_QUANTILES, latencies, strict=True)),
            "predictions": int(mix.get("", sum(mix.values()))),
            "class_mix": {label: int(count) for label, count in mix.items() if label},
            "unseen_categories": unseen,
            "ledger": project.ledger is not None,
            "drift": None,
        }

    def log_rate(self) -> None:
        """Logs rate and latency quantiles of the requests since the last such line."""
        now, counts = time(), _buckets(self._metrics.snapshot())
        last_time, last_counts = self._last_rate
        self._last_rate = now, counts
        recent = [count - last for count, last in zip(counts, last_counts, strict=True)]
        latencies = quantiles([recent], list(_QUANTILES.values()))
        latency: dict[str, float | None] = {
            f"{name}_ms": None if value is None else round(value * 1e3, 3)
            for name, value in zip(_QUANTILES, latencies, strict=True)
        }
        rate = round(sum(recent) / max(now - last_time, 1e-9), 1)
        fields: dict[str, float | None] = {
            "worker": os.getpid(),
            "requests_per_second": rate,
            "requests": int(sum(counts)),
        }
        _log.info("rate", extra=fields | latency)


def _buckets(snapshot: MetricsSnapshot) -> list[float]:
    """Returns the number of requests in each latency bucket, over all labels."""
    return [
        sum(column)
        for column in zip(_EMPTY, *(h.buckets for h in snapshot.histograms), strict=True)
    ]
