"""Databases of tests: copies of one whose tables were made once a run, Windlass' own and those of DBOS.

A PostgreSQL database is reset and renamed after its test, for the next one: a clone takes longer, and to drop one
longest of all.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool
from tests.support.services import skip_or_fail
from tests.support.shared_resources import SharedResources

from windlass.settings import Settings
from windlass.storage.database import Database

OpenDatabase = Callable[[], Database]

POSTGRES = os.environ.get(
    "WINDLASS_TEST_POSTGRES", "postgresql+psycopg://127.0.0.1:5432/postgres?connect_timeout=30"
)
WINDLASS_FILE = "windlass.db"  # in a home folder
_open_url = Database.open_url.__func__  # type: ignore[attr-defined]  # without a template
_TEMPLATE = "postgres-template"  # among the shared resources: the name of the database, and what it looks like

_OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
# What a test could have altered besides rows: tables, columns, rules, rights, settings; and which migrations were made.
_LOOKS = f"""
SELECT md5(string_agg(line, chr(10) ORDER BY line)) FROM (
    SELECT concat_ws(' ', 'schema', n.nspname, n.nspacl) FROM pg_namespace n WHERE {_OURS}
    UNION ALL SELECT concat_ws(' ', 'relation', n.nspname, c.relname, c.relkind, c.relacl)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
    UNION ALL SELECT concat_ws(' ', 'column', n.nspname, c.relname, a.attname, a.atttypid, a.attnotnull)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS} AND NOT a.attisdropped
    UNION ALL SELECT concat_ws(' ', 'rule', n.nspname, conname, pg_get_constraintdef(k.oid))
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {_OURS}
    UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled)
        FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', 'function', n.nspname, p.proname, p.prosrc)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}
    UNION ALL SELECT concat_ws(' ', 'setting', setconfig::text) FROM pg_db_role_setting s
        JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
    UNION ALL SELECT concat_ws(' ', 'migrated', version_num) FROM public.alembic_version
    UNION ALL SELECT concat_ws(' ', 'migrated', version::text) FROM dbos.dbos_migrations
) AS lines(line)
"""
_EXTRA_SCHEMAS = (
    f"SELECT n.nspname FROM pg_namespace n WHERE {_OURS} AND n.nspname NOT IN ('public', 'dbos')"
)
_TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_OURS} AND c.relkind = 'r' AND c.relname NOT IN ('alembic_version', 'dbos_migrations')
"""
_SEQUENCES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_OURS} AND c.relkind = 'S'
"""


def make_sqlite_home(home: Path) -> None:
    """Makes a home folder with the databases of the registry and of the jobs, their tables made."""
    settings = Settings(home=home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "open_url", classmethod(_open_url))
        Database.open(settings).close()
    _make_dbos_tables(settings)


def _make_dbos_tables(settings: Settings) -> None:
    from windlass.workflows.execution.durable import DurableEngine

    engine = DurableEngine(settings, "template", lambda *_: None)
    engine.listen(None)
    engine.close()


class PostgresDatabases:
    """Databases of this process on the PostgreSQL server, each used by one test after the other."""

    def __init__(self, shared: SharedResources) -> None:
        self._shared = shared
        self._free: list[str] = []

    def take(self) -> str:
        """Returns the name of a database whose tables are there and empty. Raises OperationalError."""
        template, _ = self._template()
        if self._free:
            return self._free.pop()
        name = _new_name()
        with self._shared.lock("postgres-clone"):  # a template is copied by one at a time
            administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def give_back(self, name: str) -> None:
        """Keeps a database for another test, under another name; drops one that does not look as before."""
        _, looks = self._template()
        new = _new_name()
        try:
            _end_connections(name)
            is_as_before = _reset(name) == looks
            if is_as_before:
                administer(f'ALTER DATABASE "{name}" RENAME TO "{new}"')
        except DBAPIError:
            is_as_before = False
        if is_as_before:
            self._free.append(new)
        else:
            drop(name)

    def close(self) -> None:
        """Drops them all."""
        while self._free:
            drop(self._free.pop())

    def _template(self) -> tuple[str, str]:
        name, looks = self._shared.value(_TEMPLATE, _make_template).split()
        return name, looks


def drop_template(shared: SharedResources) -> None:
    """Drops the database that the run's others were cloned from, where there is one."""
    template = shared.existing(_TEMPLATE)
    if template is not None:
        with suppress(OperationalError):
            drop(template.split()[0])


def _make_template() -> str:
    name = f"windlass_test_template_{token_hex(6)}"
    administer(f'CREATE DATABASE "{name}"')
    settings = Settings(home=Path("unused"), database_url=url_of(name))
    Database.open(settings).close()
    _make_dbos_tables(settings)
    _end_connections(name)
    return f"{name} {_reset(name)}"


def _reset(name: str) -> str:
    """Removes every row, and what a test added; returns what the database looks like."""
    with closing(_connect(url_of(name))) as connection:
        for (schema,) in connection.execute(text(_EXTRA_SCHEMAS)).all():
            connection.execute(text(f'DROP SCHEMA "{schema}" CASCADE'))
        connection.execute(text("SET session_replication_role = replica"))  # foreign keys look away
        for schema, table in connection.execute(text(_TABLES)).all():
            connection.execute(text(f'DELETE FROM "{schema}"."{table}"'))
        for schema, sequence in connection.execute(text(_SEQUENCES)).all():
            connection.execute(text(f'ALTER SEQUENCE "{schema}"."{sequence}" RESTART'))
        looks: str = connection.execute(text(_LOOKS)).scalar_one()
    return looks


def administer(statement: str) -> None:
    """Executes a statement on the PostgreSQL server, in no transaction."""
    with closing(_connect(POSTGRES)) as connection:
        connection.execute(text(statement))


def drop(name: str) -> None:
    """Drops a database, also while others are connected to it."""
    administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _end_connections(name: str) -> None:
    # the call waits, at most so many milliseconds, until a connection has ended
    query = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name"
    with closing(_connect(POSTGRES)) as connection:
        connection.execute(text(query), {"name": name}).all()


def _connect(url: str) -> Connection:
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect()


def _new_name() -> str:
    return f"windlass_test_{token_hex(6)}"


def url_of(name: str) -> str:
    """Returns the URL of a database on the PostgreSQL server."""
    return make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_databases(shared: SharedResources) -> Iterator[PostgresDatabases]:
    """Databases of this process."""
    databases = PostgresDatabases(shared)
    yield databases
    databases.close()


@pytest.fixture
def migrated_postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The URL of a PostgreSQL database with empty tables."""
    pytest.importorskip("psycopg")
    try:
        name = postgres_databases.take()
    except OperationalError as error:
        skip_or_fail(f"no PostgreSQL at {make_url(POSTGRES)!r}: {error.orig}")
    yield url_of(name)
    postgres_databases.give_back(name)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    with postgres_database() as url:
        yield url


@contextmanager
def postgres_database() -> Iterator[str]:
    """Makes an empty PostgreSQL database, and drops it afterwards; its URL."""
    pytest.importorskip("psycopg")
    name = _new_name()
    try:
        administer(f'CREATE DATABASE "{name}"')
    except OperationalError as error:
        skip_or_fail(f"no PostgreSQL at {make_url(POSTGRES)!r}: {error.orig}")
    yield url_of(name)
    drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def migrated_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> str:
    """The URL of a database with empty tables, of each kind."""
    if request.param == "sqlite":
        file = tmp_path / WINDLASS_FILE
        copy_file(sqlite_template, file)
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, real_migrations: None) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / WINDLASS_FILE}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def sqlite_template(shared: SharedResources) -> Path:
    """A migrated SQLite file, to be copied."""
    return shared.path("sqlite-home", make_sqlite_home) / WINDLASS_FILE


@pytest.fixture
def real_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """New SQLite files get their tables from the migrations, not from the run's template."""
    monkeypatch.setattr(Database, "open_url", classmethod(_open_url))


@pytest.fixture(scope="session", autouse=True)
def migrations_from_template(shared: SharedResources) -> Iterator[None]:
    """New SQLite files that this process opens are copies of one whose tables were made once a run."""

    def open_url(cls: type[Database], url: str, *, must_exist: bool = False) -> Any:
        file = Path(url.removeprefix("sqlite:///"))
        if (
            url.startswith("sqlite:///")
            and file.suffix == ".db"
            and not must_exist
            and not file.exists()
        ):
            copy_file(shared.path("sqlite-home", make_sqlite_home) / WINDLASS_FILE, file)
        return _open_url(cls, url, must_exist=must_exist)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "open_url", classmethod(open_url))
        yield


def copy_file(source: Path, target: Path) -> None:
    """Copies a file, unless somebody else made the target first. A folder that is not there stays so."""
    copy = target.with_name(f".{target.name}-{token_hex(6)}")
    with suppress(OSError):  # what is wrong with the folder, the caller will see for itself
        shutil.copyfile(source, copy)
        try:
            os.link(copy, target)
        finally:
            copy.unlink()


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    """An empty database with its tables, of each kind."""
    database = Database.open_url(migrated_database_url)
    yield database
    database.close()
