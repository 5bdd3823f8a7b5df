"""Services for tests: a database of its own on a Redis server, an S3 server on loopback, settings that name them.

A service that is not there skips the test with a reason; where CI is set, it fails instead.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from typing import Any, NoReturn

import httpx
import pytest
from tests.support.budget import IS_CI
from tests.support.server import free_port
from tests.support.shared_resources import SharedResources

from windlass.core.atomic_files import is_process_alive
from windlass.settings import Settings
from windlass.storage.urls import default_database_file

REDIS = os.environ.get("WINDLASS_TEST_REDIS", "redis://127.0.0.1:6379")
STARTING = 60.0  # seconds that a service may take to start


def skip_or_fail(reason: str) -> NoReturn:
    """Skips the test, or fails it where every service must be there."""
    if IS_CI:
        pytest.fail(reason)
    pytest.skip(reason)


# each kind of database and of store once; every pair of them where CI is set
REGISTRY_BACKENDS = ["sqlite-files", "postgres-s3"]
if IS_CI:
    REGISTRY_BACKENDS += ["postgres-files", "sqlite-s3"]


def registry_settings(backend: str, request: pytest.FixtureRequest, home: Path) -> Settings:
    """Returns settings of an empty registry; `backend` is {sqlite, postgres}-{files, s3}."""
    database, store = backend.split("-")
    url = None
    if database == "postgres":
        url = request.getfixturevalue("migrated_postgres_url")
    else:
        migrated_home(home, request.getfixturevalue("sqlite_template"))
    return Settings(
        home=home,
        database_url=url,
        store_url=request.getfixturevalue("s3_url") if store == "s3" else None,
        store_http=True,
    )


def migrated_home(home: Path, template: Path) -> Settings:
    """Settings of a home folder whose SQLite database has empty tables."""
    home.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=home)
    shutil.copyfile(template, default_database_file(settings))
    return settings


def variables(settings: Settings) -> dict[str, str]:
    """Returns the environment of a process that is to read these settings."""
    named = {
        "WINDLASS_HOME": str(settings.home),
        "WINDLASS_DATABASE_URL": settings.database_url or "",
        "WINDLASS_STORE_URL": settings.store_url or "",
    }
    return {**os.environ, **named}


@pytest.fixture(scope="session")
def s3_endpoint(shared: SharedResources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the run's S3 server, a process of its own. Every test has a bucket of its own."""
    pytest.importorskip("moto.server")
    log = tmp_path_factory.mktemp("s3") / "server.log"

    def start() -> str:
        port = str(free_port())
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        return await_http(f"http://127.0.0.1:{port}", shared.start(command, log), log)

    return shared.value("s3-endpoint", start)


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket's folder; credentials are in the environment, as for any S3."""
    bucket = f"models-{token_hex(6)}"
    httpx.put(f"{s3_endpoint}/{bucket}", timeout=STARTING).raise_for_status()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return f"s3://{bucket}/team"


def await_http(url: str, pid: int, log: Path) -> str:
    """Wait until something answers at `url`, and give it back; `pid` is the process that will."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            if not is_process_alive(pid) or time.monotonic() > deadline:
                pytest.fail(f"nothing answers at {url}: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        else:
            return url


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The URL of an empty Redis database, emptied afterwards. That of a test that was killed is taken over."""
    redis = pytest.importorskip("redis")
    for number in range(1, 16):
        client = redis.Redis.from_url(f"{REDIS}/{number}", socket_connect_timeout=30)
        try:
            is_ours = _is_marked(client)
        except redis.ConnectionError as error:
            client.close()
            skip_or_fail(f"no Redis at {REDIS}: {error}")
        if is_ours:
            yield f"{REDIS}/{number}"
            client.flushdb()
            client.close()
            return
        client.close()
    skip_or_fail(f"no empty database among 1 to 15 of {REDIS}")


MARK = "windlass_test"  # holds who uses a Redis database


def _is_marked(client: Any) -> bool:
    """Whether the database is marked as ours: it was empty, or its mark is that of a process that is gone."""

    def take(pipe: Any) -> None:
        holder = (pipe.get(MARK) or b"").decode()
        is_left = _is_gone(holder) if holder else pipe.dbsize() == 0
        pipe.multi()
        if is_left:
            pipe.flushdb()
            pipe.set(MARK, _process(os.getpid()))

    return bool(client.transaction(take, MARK))  # empty where nothing was done


def _process(pid: int) -> str:
    """The identity of a process, on this machine and on others; when it began is known under Linux only."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        began = ""
    return f"{gethostname()} {pid} {began}"


def _is_gone(holder: str) -> bool:
    host, _, rest = holder.partition(" ")
    pid = rest.partition(" ")[0]
    if host != gethostname() or not pid.isdecimal():
        return False
    return not is_process_alive(int(pid)) or _process(int(pid)) != holder
