"""Services for tests: databases on PostgreSQL, SQLite and Redis, and an S3 server on loopback.

A service that is not there skips the test with a reason; where CI is set, it fails instead. Migrated databases are
copies of a template that each process of tests migrates once.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from typing import Any, NoReturn

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from tests.support.server import free_port

from windlass.core.atomic_files import is_process_alive
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.urls import default_database_file

POSTGRES = os.environ.get(
    "WINDLASS_TEST_POSTGRES", "postgresql+psycopg://127.0.0.1:5432/postgres?connect_timeout=30"
)
REDIS = os.environ.get("WINDLASS_TEST_REDIS", "redis://127.0.0.1:6379")
STARTING = 60.0  # seconds that a service may take to start


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail where every service must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The name of a migrated PostgreSQL database to which nobody is connected."""
    with postgres_database() as url:
        Database.open_url(url).close()
        yield str(make_url(url).database)


@pytest.fixture
def migrated_postgres_url(postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with empty tables, dropped afterwards."""
    with postgres_database(postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("template") / "windlass.db"
    Database.open_url(f"sqlite:///{file}").close()
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with empty tables, of each kind."""
    if request.param == "sqlite":
        file = tmp_path / "windlass.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'windlass.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@contextmanager
def postgres_database(template: str = "template1") -> Iterator[str]:
    """The URL of a new PostgreSQL database, a copy of this one."""
    pytest.importorskip("psycopg")
    name = f"windlass_test_{token_hex(6)}"
    try:
        _administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    except OperationalError as error:
        absent(f"no PostgreSQL at {make_url(POSTGRES)!r}: {error.orig}")
    yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    _administer(f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(statement: str) -> None:
    engine = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


# each kind of database and of store once; every pair of them where CI is set
REGISTRY_BACKENDS = ["sqlite-files", "postgres-s3"]
if os.environ.get("CI") == "true":
    REGISTRY_BACKENDS += ["postgres-files", "sqlite-s3"]


def registry_settings(backend: str, request: pytest.FixtureRequest, home: Path) -> Settings:
    """Settings of an empty registry; `backend` is {sqlite, postgres}-{files, s3}."""
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
    """The environment of a process that is to read these settings."""
    named = {
        "WINDLASS_HOME": str(settings.home),
        "WINDLASS_DATABASE_URL": settings.database_url or "",
        "WINDLASS_STORE_URL": settings.store_url or "",
    }
    return {**os.environ, **named}


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server in a process of its own."""
    pytest.importorskip("moto.server")
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield await_http(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        process.wait(STARTING)


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


def await_http(url: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until something answers at `url`, and give it back."""
    deadline = time.monotonic() + STARTING
    while True:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{process.args!r} does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.05)
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
            absent(f"no Redis at {REDIS}: {error}")
        if is_ours:
            yield f"{REDIS}/{number}"
            client.flushdb()
            client.close()
            return
        client.close()
    absent(f"no empty database among 1 to 15 of {REDIS}")


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
    """What tells a process from every other, of this machine and of others; when it began is known under Linux only."""
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
