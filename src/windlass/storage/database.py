"""Opens and migrates the database: SQLite with a write-ahead log by default, PostgreSQL by URL.

One transaction a `with` block. A reading block sees one snapshot. A writing block locks the whole database
(SQLite) or rows (PostgreSQL); it commits at its end, and rolls back where it raises. SQLAlchemy's errors
become StorageError.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from windlass.core.atomic_files import create_private_file, make_private_folder
from windlass.core.error_descriptions import missing_extra
from windlass.errors import SettingsError, StorageError
from windlass.settings import Settings
from windlass.storage.db_errors import LIBPQ_TIMEOUTS, next_step
from windlass.storage.urls import database_url, is_read_only

LOCK_TIMEOUT_SECONDS = 30.0  # for which a writer waits for another

HEAD_REVISION = "0001"  # the newest file in migrations/versions
_ADVISORY_LOCK = 7309947  # of PostgreSQL: any number that nobody else takes

_log = logging.getLogger(__name__)
_URL_HELP = "Use postgresql+psycopg://USER:PASSWORD@HOST/NAME, or leave it out for SQLite."


class Database:
    """Connections to one migrated database.

    Safe to share between threads, not over a fork.
    Only the first connection creates a missing SQLite file, and none does with `must_exist`.
    """

    def __init__(self, engine: Engine, *, must_exist: bool = False) -> None:
        self._engine = engine
        self._must_exist = must_exist
        self._file = _sqlite_file(engine)
        self._file_identity: tuple[int, int] | None = None  # its device and inode
        self.is_sqlite = engine.dialect.name == "sqlite"
        if self._file is not None:
            event.listen(engine, "do_connect", self._set_open_mode)

    @classmethod
    def open(cls, settings: Settings, *, must_exist: bool = False) -> "Database":
        """Opens the database that the settings name, and creates or migrates its tables.

        Raises SettingsError for a URL that cannot be used, StorageError where it cannot be reached, or where
        it `must_exist` and is a missing SQLite file.
        """
        if settings.database_url is None and not must_exist:
            try:
                make_private_folder(settings.home)
            except OSError as error:
                raise StorageError(
                    f"Cannot make the home folder {settings.home}: {error.strerror}. Name another with WINDLASS_HOME."
                ) from error
        return cls.open_url(database_url(settings), must_exist=must_exist)

    @classmethod
    def open_url(cls, url: str, *, must_exist: bool = False) -> "Database":
        """Opens the database at `url`, and creates or migrates its tables. Raises as `open` does."""
        database = cls(_create_engine(url), must_exist=must_exist)
        try:
            migrate(database)
            database._reconnect_if_replaced()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yields a connection to read with; all its queries see one snapshot."""
        self._reconnect_if_replaced()
        with _translate_errors(self._engine), self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yields a connection to write with; waits for locks up to LOCK_TIMEOUT_SECONDS."""
        self._reconnect_if_replaced()
        with _translate_errors(self._engine), self._engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(
                    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS:.0f}s'"
                )
            with _commit_on_success(connection):
                yield connection

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def _reconnect_if_replaced(self) -> None:
        """Reconnects where SQLite's file was replaced by another one.

        Raises StorageError where the file is gone, or must exist and is missing.
        """
        if self._file is None:
            return
        try:
            stat = self._file.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            if self._may_create:
                return  # the first connection does
            if self._file_identity is None:
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
        identity = stat.st_dev, stat.st_ino
        if self._file_identity not in (None, identity):
            self._engine.dispose()  # its connections lead to the file that was there before
        self._file_identity = identity

    @property
    def _may_create(self) -> bool:
        return self._file_identity is None and not self._must_exist

    def _set_open_mode(
        self, _dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        """Makes SQLite open the file as a URI with a mode: the file may vanish after our own check."""
        assert self._file is not None
        mode = "rwc" if self._may_create else "rw"
        if self._may_create:
            with suppress(OSError):  # SQLite says what is wrong
                create_private_file(self._file)
        if is_read_only(self._file):
            mode = "ro&immutable=1"
        arguments[0] = f"file:{quote(arguments[0])}?mode={mode}"
        options["uri"] = True


@contextmanager
def _commit_on_success(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        message = " ".join(str(cause).split())[:300].rstrip(".")
        url = engine.url.render_as_string(hide_password=True)
        step = next_step(message, "WINDLASS_DATABASE_URL")
        raise StorageError(f"The database {url} failed: {message}. {step}") from error


def _create_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _create_sqlite_engine(url)
        if parsed.drivername in ("postgres", "postgresql"):  # as clouds name it
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername != "postgresql+psycopg":
            raise SettingsError(f"WINDLASS_DATABASE_URL names {backend!r}. {_URL_HELP}")
        timeouts = {
            name: value for name, value in LIBPQ_TIMEOUTS.items() if name not in parsed.query
        }
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_size=5,
            isolation_level="READ COMMITTED",
            connect_args=timeouts,
        )
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise SettingsError(
            f"WINDLASS_DATABASE_URL cannot be used: {missing_extra(error) or error}. {_URL_HELP}"
        ) from error


def _create_sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": LOCK_TIMEOUT_SECONDS, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def connect(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # transactions begin where we say so
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def _sqlite_file(engine: Engine) -> Path | None:
    """Returns the file of a SQLite engine; None for another database, and for one in memory."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name.startswith((":", "file:")):
        return None
    return Path(name)


def migrate(database: "Database") -> None:
    """Creates the tables, or migrates them to the newest revision.

    Several processes may do so at once.
    Raises StorageError for tables that a newer Windlass made.
    """
    with database.reading() as connection:
        if _revision(connection) == HEAD_REVISION:
            return
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs its own internals
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        revision = _revision(connection)
        if revision is not None and revision not in revisions:
            raise StorageError(
                f"The database's tables are of step {revision}, which a newer Windlass made; this one knows"
                f" {HEAD_REVISION}."
                " Install that version here as well."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    _log.info("tables brought up to date", extra={"step": HEAD_REVISION})


def _revision(connection: Connection) -> str | None:
    """Returns the revision of the tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    query = text("SELECT version_num FROM alembic_version")
    revision: str | None = connection.execute(query).scalar()
    return revision
