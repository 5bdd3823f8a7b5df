"""Fixtures of tests of several rooms, such as servers that are stopped afterwards."""

import logging
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import child_process
from tests.support.budget import IS_CI, load_profile
from tests.support.databases import (
    database,
    database_url,
    drop_template,
    migrated_database_url,
    migrated_postgres_url,
    migrations_from_template,
    postgres_databases,
    postgres_url,
    real_migrations,
    sqlite_template,
)
from tests.support.fork_server import ForkServer
from tests.support.forked_children import fork_projects, project_processes
from tests.support.paths import ROOT
from tests.support.server import Serve, Server
from tests.support.services import s3_endpoint, s3_url
from tests.support.shared_resources import SharedResources, resources_of, shared
from tests.support.tcp_proxy import wire, wired_url
from tests.support.trained_bundles import BundleOf, bundle_of, iris

__all__ = [  # fixtures
    "bundle_of", "database", "database_url", "iris", "migrated_database_url", "migrated_postgres_url",
    "migrations_from_template", "postgres_databases", "postgres_url", "real_migrations", "s3_endpoint", "s3_url",
    "shared", "sqlite_template", "wire", "wired_url",
]  # fmt: skip

load_profile()

# what takes longest, so that it is begun first and nobody waits for it at the end
LONGEST = ("features/engines/test_spark.py", "flows/", "cli/", "control/", "workflows/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    tests = ROOT / "tests"

    def rank(item: pytest.Item) -> int:
        file = item.path.relative_to(tests).as_posix()
        return next((at for at, name in enumerate(LONGEST) if file.startswith(name)), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def fork_server(shared: SharedResources) -> Iterator[None]:
    """Has processes forked from a server that has imported what they use; in CI each is a new interpreter."""
    if IS_CI or sys.platform != "linux":
        yield
        return
    child_process.fork_server = server = ForkServer(shared)
    with project_processes():
        fork_projects(server.socket)
        yield
    child_process.fork_server = None


@pytest.fixture
def new_project_processes() -> Iterator[None]:
    """Has the project processes of this process start as new interpreters."""
    with project_processes():
        yield


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets logging up; the next test does not see it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in [added for added in root.handlers if added not in handlers]:
        root.removeHandler(handler)
    if root.level != level:
        root.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a test fails where what it needs is not installed."""
    report = yield
    if (
        IS_CI
        and call.excinfo is not None
        and str(call.excinfo.value).startswith("could not import")
    ):
        report.outcome = "failed"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ends what the workers shared, once all of them have ended."""
    if not hasattr(session.config, "workerinput"):
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # no public way to it
        drop_template(resources_of(base, of_worker=False))


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

    def start(
        *bundles: Path, home: Path | None = None, ready: bool = True, **options: Any
    ) -> Server:
        home = home or folder / f"home-{len(started)}"
        server = Server.of(*bundles, home=home, **options)
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
    return session_server(bundle_of("diabetes"), bundle_of("native"), options=["--allow-pickle"])
