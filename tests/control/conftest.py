"""A server of control over a real registry and job queue; the test itself may play the worker."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import HOMES, BundleOf
from tests.support.job_workers import begin_next
from tests.support.server import Server, free_port

from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import HEARTBEAT_SECONDS, WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings

ROOT = Path(__file__).parents[2]
WHY = {"reason": "It is the better one."}

Control = Callable[..., Server]


def start_control(home: Path, *projects: str, **variables: str) -> Server:
    """A server of control over the registry in `home`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.control_server", str(port), *projects]
    return Server(command, port, home, {"PYTHONPATH": str(ROOT), **variables})


def registered(settings: Settings, bundle_of: BundleOf) -> Registry:
    """A registry with Iris and two candidates of it."""
    registry = Registry.open(settings)
    registry.declare(ProjectSpec.from_project(*load_project(HOMES["iris"])))
    for seed in (1, 2):
        registry.register(bundle_of("iris", seed=seed), trained_by="ada")
    return registry


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """Starts servers of control: `control("iris", …, WINDLASS_AUTH=…)`, all with one home folder."""
    started: list[Server] = []

    def start(*projects: str, **variables: str) -> Server:
        server = start_control(tmp_path, *projects, **variables)
        started.append(server)
        return server.wait()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def registry(tmp_path: Path, bundle_of: BundleOf) -> Iterator[Registry]:
    registry = registered(Settings(home=tmp_path), bundle_of)
    yield registry
    registry.close()


@pytest.fixture
def server(control: Control, registry: Registry) -> Server:
    """Control of Iris, at the root too."""
    return control("iris")


@dataclass
class SharedServer:
    """A server for requests that change nothing, and its job queue."""

    server: Server
    queue: JobQueue


@pytest.fixture(scope="session")
def read_only(
    tmp_path_factory: pytest.TempPathFactory, bundle_of: BundleOf
) -> Iterator[SharedServer]:
    home = tmp_path_factory.mktemp("still")
    registry = registered(Settings(home=home), bundle_of)
    server = start_control(home, "iris").wait()
    yield SharedServer(server, JobQueue(registry.database))
    server.stop()
    registry.close()


@dataclass
class Worker:
    """The test as a worker: it claims jobs, reports progress and finishes them."""

    queue: JobQueue
    name: str

    def take(self) -> Job:
        job = begin_next(self.queue, self.name)
        assert job is not None
        return job

    def report(self, job: Job, progress: float, message: str) -> None:
        self.queue.report(job.id, self.name, progress, message)

    def succeed(self, job: Job) -> None:
        result: dict[str, Any] = {
            "version": "v3",
            "stage": "candidate",
            "metrics": {"accuracy": 1.0},
        }
        self.queue.finish(job.id, self.name, result=result)

    def fail(self, job: Job, error: str) -> None:
        self.queue.finish(job.id, self.name, error=error)


@pytest.fixture
def worker(registry: Registry) -> Iterator[Worker]:
    workers = WorkerTable(registry.database)
    worker = Worker(JobQueue(registry.database), workers.register())
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            with suppress(StorageError):  # as a worker, it goes on
                workers.beat(worker.name)

    beating = threading.Thread(target=beat)
    beating.start()
    yield worker
    over.set()
    beating.join()
    workers.unregister(worker.name)
