"""What tests of control share: its server, a registry with candidates, the test as a worker, a client of events."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.job_workers import begin_next
from tests.support.paths import IRIS, ROOT
from tests.support.server import Server, free_port
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_for

from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.jobs.job import Job
from windlass.jobs.queue import JobQueue
from windlass.registry.registry import Registry
from windlass.settings import Settings

ASYNC = {"Prefer": "respond-async"}
REASON = {"reason": "It is the better one."}

Control = Callable[..., Server]


def start_control(home: Path, *projects: str, **variables: str) -> Server:
    """Starts a server of control over the registry in `home`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.control_server", str(port), *projects]
    return Server(command, port, home, {"PYTHONPATH": str(ROOT), **variables}, warm=True)


def open_registry(settings: Settings, bundle_of: BundleOf) -> Registry:
    """Opens a registry with Iris and two candidates of it."""
    registry = Registry.open(settings)
    registry.declare(ProjectSpec.from_project(*load_project(IRIS)))
    for seed in (1, 2):
        registry.register(bundle_of("iris", seed=seed), trained_by="ada")
    return registry


def submit_training(server: Server, **body: object) -> str:
    """Submits a training over HTTP; returns the id of its job."""
    answer = server.client.post("/train", json=body, headers=ASYNC)
    return str(answer.json()["job_id"])


@dataclass
class SharedServer:
    """A server for requests that change nothing, and its job queue."""

    server: Server
    queue: JobQueue


@dataclass
class ManualWorker:
    """The test as a worker: it begins jobs, reports progress and finishes them."""

    queue: JobQueue
    name: str

    def begin(self) -> Job:
        """Begins the oldest queued job."""
        job = begin_next(self.queue, self.name)
        assert job is not None
        return job

    def wait_for_job(self) -> Job:
        """Begins the next job, once it is submitted."""
        return wait_for(lambda: begin_next(self.queue, self.name), "a job")

    def report(self, job: Job, progress: float, message: str) -> None:
        """Reports progress."""
        self.queue.report(job.id, self.name, progress, message)

    def succeed(self, job: Job) -> None:
        """Finishes a job with a new version."""
        metrics = {"accuracy": 1.0}
        result = {"version": "v3", "stage": "candidate", "metrics": metrics}
        self.queue.finish(job.id, self.name, result=result)

    def fail(self, job: Job, error: str) -> None:
        """Finishes a job with an error."""
        self.queue.finish(job.id, self.name, error=error)


@dataclass
class Event:
    """One event, as a browser reads it."""

    name: str = ""
    id: str = ""
    data: Any = None


@dataclass
class EventStream:
    """An open response of `/jobs/{id}/events`."""

    answer: httpx.Response
    lines: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.answer.iter_lines()

    def next(self) -> Event | None:
        """Returns the next event; None at the end."""
        event = Event()
        for line in self.lines:
            name, _, value = line.partition(": ")
            if not line and event.name:
                return event
            if name == "event":
                event.name = value
            elif name == "id":
                event.id = value
            elif name == "data":
                event.data = json.loads(value)
        return None

    def rest(self) -> list[Event]:
        """Returns all events until the end."""
        return list(iter(self.next, None))


@contextmanager
def open_events(server: Server, job: str, **headers: str) -> Iterator[EventStream]:
    """Opens the stream of a job's events."""
    with server.client.stream("GET", f"/jobs/{job}/events", headers=headers) as answer:
        assert answer.status_code == 200
        yield EventStream(answer)
