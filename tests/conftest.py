"""What tests of several rooms share: bundles trained once a run, and servers that are stopped afterwards."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.support.server import Server
from tests.support.services import (
    database_url,
    migrated_database_url,
    migrated_postgres_url,
    postgres_template,
    postgres_url,
    s3_endpoint,
    s3_url,
    sqlite_template,
)
from tests.support.tcp_proxy import wire, wired_url

from windlass.core.project_loader import load_project
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.train import train

__all__ = [  # fixtures
    "database_url", "migrated_database_url", "migrated_postgres_url", "postgres_template", "postgres_url",
    "s3_endpoint", "s3_url", "sqlite_template", "wire", "wired_url",
]  # fmt: skip

ROOT = Path(__file__).parents[1]
HOMES = {"iris": ROOT / "examples" / "iris"}

# the same examples in every run, and no judgement of how quickly they come
settings.register_profile(
    "steady",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

BundleOf = Callable[..., Path]
Serve = Callable[..., Server]


# what takes longest, so that it is begun first and nobody waits for it at the end
LONGEST = ("features/engines/test_spark.py", "flows/", "cli/", "control/", "workflows/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    tests = ROOT / "tests"

    def rank(item: pytest.Item) -> int:
        file = item.path.relative_to(tests).as_posix()
        return next((at for at, name in enumerate(LONGEST) if file.startswith(name)), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets logging up; the next test does not see it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    """The bundle of a project (`iris`, or one of tests/projects), trained once; nobody may change it."""
    folder = tmp_path_factory.mktemp("bundles")

    def bundle(name: str, **request: Any) -> Path:
        target = folder / "-".join([name, *map(str, request.values())])
        if not target.exists():
            home = HOMES.get(name, ROOT / "tests" / "projects" / name)
            project, source = load_project(home)
            wanted = TrainingRequest(artifacts=target, track=False, **request)
            train(project, source, wanted, Settings(home=folder / "home"))
        return target

    return bundle


@pytest.fixture(scope="session")
def iris(bundle_of: BundleOf) -> Path:
    """Logistic regression on Iris: ONNX, inline."""
    return bundle_of("iris")


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers that live until the tests end, for tests that leave them as they were."""
    yield from _servers(tmp_path_factory.mktemp("servers"))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers of the test's own: `serve(bundle, …, options=[…], home=…, VARIABLE=…)`."""
    yield from _servers(tmp_path)


def _servers(folder: Path) -> Iterator[Serve]:
    started: list[Server] = []

    def start(*bundles: Path, home: Path | None = None, ready: bool = True, **how: Any) -> Server:
        home = home or folder / f"home-{len(started)}"
        server = Server.of(*bundles, home=home, **how)
        started.append(server)
        return server.wait() if ready else server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def iris_server(session_server: Serve, iris: Path) -> Server:
    """Iris at the root of a server."""
    return session_server(iris)


@pytest.fixture(scope="session")
def mixed_server(session_server: Serve, bundle_of: BundleOf) -> Server:
    """Numbers, integers, booleans, dates and categories, with nulls."""
    return session_server(bundle_of("mixed"))


@pytest.fixture(scope="session")
def two_servers(session_server: Serve, bundle_of: BundleOf) -> Server:
    """One server of two projects: a regression, and a native classifier of numbers."""
    return session_server(bundle_of("diabetes"), bundle_of("native"))
