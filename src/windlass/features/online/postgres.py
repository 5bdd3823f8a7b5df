"""An online store in PostgreSQL: a table of entities and one of notes, which all projects share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from psycopg import Connection, Error, OperationalError, connect
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable

from windlass.errors import StorageError
from windlass.features.online.key_value import URL_VARIABLE, RankedRow
from windlass.storage.db_errors import LIBPQ_TIMEOUTS, next_step

QueryResult = TypeVar("QueryResult")

_MAX_IDLE = 8  # connections that are kept
_SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"
_TABLES = """
SELECT pg_advisory_xact_lock(hashtext('windlass_online'));
CREATE TABLE IF NOT EXISTS windlass_online (
    project text, entity bigint, rank bigint NOT NULL, row bytea NOT NULL, PRIMARY KEY (project, entity)
);
CREATE TABLE IF NOT EXISTS windlass_online_notes (
    project text, name text, rank bigint NOT NULL, note bytea NOT NULL, PRIMARY KEY (project, name)
)
"""
_TABLE_EXISTS = "SELECT to_regclass('windlass_online_notes')"
_GET = "SELECT row FROM windlass_online WHERE project = %s AND entity = %s"
_GET_MANY = "SELECT entity, row FROM windlass_online WHERE project = %s AND entity = ANY (%s)"
_ANY = "SELECT entity FROM windlass_online WHERE project = %s LIMIT 1"
_INCOMING = "CREATE TEMP TABLE incoming (entity bigint, rank bigint, row bytea) ON COMMIT DROP"
_COPY = "COPY incoming FROM STDIN (FORMAT BINARY)"
# in the order of their entities, so that two writers lock them in the same one
_PUT = """
INSERT INTO windlass_online AS there
SELECT DISTINCT ON (entity) %s, entity, rank, row FROM incoming ORDER BY entity, rank DESC
ON CONFLICT (project, entity) DO UPDATE SET rank = excluded.rank, row = excluded.row
WHERE excluded.rank >= there.rank
"""
_REMOVE = "DELETE FROM windlass_online WHERE project = %s AND entity = %s"
_COUNT = "SELECT count(*) FROM windlass_online WHERE project = %s"
_NOTE = "SELECT note FROM windlass_online_notes WHERE project = %s AND name = %s"
_PUT_NOTE = """
INSERT INTO windlass_online_notes AS there VALUES (%s, %s, %s, %s)
ON CONFLICT (project, name) DO UPDATE SET rank = excluded.rank, note = excluded.note
WHERE excluded.rank >= there.rank
"""
_REMOVE_NOTE = "DELETE FROM windlass_online_notes WHERE project = %s AND name = %s"


class PostgresKeyValueStore:
    """A `Shelf` in a PostgreSQL database. Each reading thread has a connection of the pool meanwhile."""

    def __init__(self, url: str, project: str) -> None:
        try:
            parameters = conninfo_to_dict("postgresql" + url[url.index("://") :])
        except Error as error:
            raise ValueError("no URL of PostgreSQL") from error
        self._connection_options: dict[str, Any] = {**LIBPQ_TIMEOUTS, **parameters}
        self._project = project
        self._idle: list[Connection] = []
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        self.where = f"The online store {parts.scheme}://{address}{parts.path}"

    def get(self, entity: int) -> bytes | None:
        """The row of an entity; None where there is none."""
        found: bytes | None = self._fetch_value(_GET, entity)
        return found

    def get_many(self, entities: Sequence[int]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        found = dict(self._query(_GET_MANY, list(entities)))
        return list(map(found.get, entities))

    def any(self) -> int | None:
        """Some entity that has a row; None where none has."""
        found: int | None = self._fetch_value(_ANY)
        return found

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows in one transaction; says how many of them were new or replaced what was there."""
        with self._transaction() as connection:
            connection.execute(_INCOMING)
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.set_types(["int8", "int8", "bytea"])
                for row in rows:
                    copy.write_row(row)
            return connection.execute(_PUT, (self._project,)).rowcount

    def remove(self, entity: int) -> bool:
        """Remove the row of an entity. False where there is none."""
        return self._change(_REMOVE, entity) > 0

    def count(self) -> int:
        """How many entities have a row."""
        return int(self._fetch_value(_COUNT) or 0)

    def metadata(self, name: str) -> bytes | None:
        """The note of this name; None where there is none."""
        found: bytes | None = self._fetch_value(_NOTE, name)
        return found

    def put_metadata(self, name: str, rank: int, note: bytes) -> None:
        """Put a note."""
        with self._transaction() as connection:
            connection.execute(_PUT_NOTE, (self._project, name, rank, note))

    def remove_metadata(self, name: str) -> None:
        """Remove a note. One that is not there is removed already."""
        self._change(_REMOVE_NOTE, name)

    def close(self) -> None:
        """Close the idle connections; the next read opens another."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction of a connection of its own; the tables are there."""
        with self._translate_errors(), self._connect() as connection, connection.transaction():
            connection.execute(_SET_LOCK_TIMEOUT)
            if connection.execute(_TABLE_EXISTS).fetchone() == (
                None,
            ):  # only then needs it the right to
                connection.execute(_TABLES)
            yield connection

    def _fetch_value(self, query: str, *parameters: Any) -> Any:
        found = self._query(query, *parameters)
        return found[0][0] if found else None

    def _query(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._run(
            lambda connection: connection.execute(
                query, (self._project, *parameters), binary=True
            ).fetchall(),
            [],
        )

    def _change(self, statement: str, *parameters: Any) -> int:
        return self._run(
            lambda connection: connection.execute(statement, (self._project, *parameters)).rowcount,
            0,
        )

    def _run(self, work: Callable[[Connection], QueryResult], nothing: QueryResult) -> QueryResult:
        """Do what may be done twice, on an idle connection or a new one. `nothing` where no table was made yet."""
        with self._translate_errors():
            while True:
                idle = self._take_idle()
                connection = idle or self._connect()
                try:
                    done = work(connection)
                except UndefinedTable:
                    connection.close()
                    return nothing
                except OperationalError:
                    connection.close()
                    if idle is None:
                        raise
                    continue  # the server was started anew since
                except BaseException:
                    connection.close()
                    raise
                self._put_back(connection)
                return done

    def _take_idle(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _put_back(self, connection: Connection) -> None:
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> Connection:
        return connect(**self._connection_options, autocommit=True)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            message = " ".join(str(error).split())[:300].rstrip(".")
            raise StorageError(
                f"{self.where} failed: {message}. {next_step(message, URL_VARIABLE)}"
            ) from error
