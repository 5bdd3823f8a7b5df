"""A server of control over a real registry and job queue; the test itself may play the worker."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.control import Control, ManualWorker, SharedServer, open_registry, start_control
from tests.support.server import Server
from tests.support.trained_bundles import BundleOf

from windlass.errors import StorageError
from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import HEARTBEAT_SECONDS, WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings


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
    registry = open_registry(Settings(home=tmp_path), bundle_of)
    yield registry
    registry.close()


@pytest.fixture
def server(control: Control, registry: Registry) -> Server:
    """Control of Iris, at the root too."""
    return control("iris")


@pytest.fixture(scope="session")
def read_only(
    tmp_path_factory: pytest.TempPathFactory, bundle_of: BundleOf
) -> Iterator[SharedServer]:
    home = tmp_path_factory.mktemp("still")
    registry = open_registry(Settings(home=home), bundle_of)
    server = start_control(home, "iris").wait()
    yield SharedServer(server, JobQueue(registry.database))
    server.stop()
    registry.close()


@pytest.fixture
def worker(registry: Registry) -> Iterator[ManualWorker]:
    workers = WorkerTable(registry.database)
    worker = ManualWorker(JobQueue(registry.database), workers.register())
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
