"""The database: SQLite with a write-ahead log by default, PostgreSQL by URL. One transaction a block.

A reading block sees one moment of the database. A writing block has the whole of it (SQLite) or takes
row locks (PostgreSQL); it commits as it ends, and rolls back where it raises. Foreign errors become
StorageError.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from windlass.errors import SettingsError, StorageError
from windlass.settings import Settings
from windlass.storage.db_errors import TIMEOUT, advice
from windlass.storage.urls import url_of

BUSY_SECONDS = 30.0  # that a writer waits for another

_FORM = (
    "Use postgresql+psycopg://USER:PASSWORD@HOST/NAME (with windlass[postgres] installed),"
    " or leave it out for SQLite."
)


class Database:
    """Connections to one database, whose tables are there. Safe to share between threads, not over a fork.

    A file of SQLite's is made by the first connection at most, and not where it must exist.
    """

    def __init__(self, engine: Engine, *, must_exist: bool = False) -> None:
        self._engine = engine
        self._must_exist = must_exist
        self._file = _file(engine)
        self._opened: tuple[int, int] | None = None  # device and inode of that file
        self.is_sqlite = engine.dialect.name == "sqlite"
        if self._file is not None:
            event.listen(engine, "do_connect", self._say_whether_to_make)

    @classmethod
    def of(cls, settings: Settings, *, must_exist: bool = False) -> "Database":
        """The database that the settings name, its tables made or brought up to date.

        Raises SettingsError for a URL that cannot be used, StorageError where it cannot be reached, or where
        it `must_exist` and is a file that is not there.
        """
        if settings.database_url is None and not must_exist:
            try:
                settings.home.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"Cannot make the home folder {settings.home}: {error.strerror}. Name another with WINDLASS_HOME."
                ) from error
        return cls.open(url_of(settings), must_exist=must_exist)

    @classmethod
    def open(cls, url: str, *, must_exist: bool = False) -> "Database":
        """The database at `url`, its tables made or brought up to date. Raises as `of` does."""

        database = cls(_engine(url), must_exist=must_exist)
        try:
            migrate(database)
            database._follow()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with: everything as it was at one moment."""
        self._follow()
        with _translated(self._engine), self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection to write with, one writer at a time on SQLite. Locks are waited for, but not for ever."""
        self._follow()
        with _translated(self._engine), self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS:.0f}s'")
            with _committing(connection):
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _follow(self) -> None:
        """Where another file was put in the place of SQLite's, go on with that one.

        Raises StorageError where it is gone, or must be there and is not.
        """
        if self._file is None:
            return
        try:
            found = self._file.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            if self._may_make:
                return  # the first connection does
            if self._opened is None:
                raise StorageError(
                    f"There is no database file {self._file}. `windlass train` makes it where nothing was trained"
                    " yet; otherwise restore it from a backup, or name another home folder with WINDLASS_HOME."
                ) from error
            raise StorageError(
                f"The database file {self._file} is gone. Restore it from a backup; until then nothing is"
                " written there."
            ) from error
        except OSError:
            return  # SQLite says what is wrong with it
        identity = found.st_dev, found.st_ino
        if self._opened not in (None, identity):
            self._engine.dispose()  # its connections lead to the file that was there before
        self._opened = identity

    @property
    def _may_make(self) -> bool:
        return self._opened is None and not self._must_exist

    def _say_whether_to_make(
        self, _dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        """Have SQLite open the file as a URI that says so: it may go between our look and its own."""
        mode = "rwc" if self._may_make else "rw"
        arguments[0] = f"file:{quote(arguments[0])}?mode={mode}"
        options["uri"] = True


@contextmanager
def _committing(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        told = " ".join(str(cause).split())[:300].rstrip(".")
        where = engine.url.render_as_string(hide_password=True)
        step = advice(told, "WINDLASS_DATABASE_URL")
        raise StorageError(f"The database {where} failed: {told}. {step}") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _sqlite(url)
        if parsed.drivername in ("postgres", "postgresql"):  # as clouds name it
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername != "postgresql+psycopg":
            raise SettingsError(f"WINDLASS_DATABASE_URL names {backend!r}. {_FORM}")
        asked = {name: value for name, value in TIMEOUT.items() if name not in parsed.query}
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_size=5,
            isolation_level="READ COMMITTED",
            connect_args=asked,
        )
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise SettingsError(f"WINDLASS_DATABASE_URL cannot be used: {error}. {_FORM}") from error


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connect(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # transactions begin where we say so
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def _file(engine: Engine) -> Path | None:
    """The file that a SQLite engine keeps; None for another database, and for one in memory."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name.startswith((":", "file:")):
        return None
    return Path(name)


HEAD = "0001"  # the newest file in migrations/versions
_LOCK = 7309947  # of PostgreSQL: any number that nobody else takes

_log = logging.getLogger(__name__)


def migrate(database: "Database") -> None:
    """Make the tables, or bring them up to date; several processes may ask at once.

    Raises StorageError for tables that a newer Windlass made.
    """
    with database.reading() as connection:
        if _revision(connection) == HEAD:
            return
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its own insides
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = _revision(connection)
        if found is not None and found not in known:
            raise StorageError(
                f"The database's tables are of step {found}, which a newer Windlass made; this one knows {HEAD}."
                " Install that version here as well."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    _log.info("tables brought up to date", extra={"step": HEAD})


def _revision(connection: Connection) -> str | None:
    """The step that the tables are at; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
