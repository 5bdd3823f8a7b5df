"""Key-value store in PostgreSQL: a table of entities and one of metadata, which all projects share."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from psycopg import Connection, Error, OperationalError, connect
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable

from windlass.core.entity_ids import EntityKey
from windlass.errors import StorageError
from windlass.features.online.key_value import URL_VARIABLE, RankedRow, with_first
from windlass.storage.db_errors import LIBPQ_TIMEOUTS, next_step

QueryResult = TypeVar("QueryResult")

_MAX_IDLE = 8  # connections in the pool
_SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"
_TABLES = """
SELECT pg_advisory_xact_lock(hashtext('windlass_online'));
CREATE TABLE IF NOT EXISTS windlass_online (
    project text, entity bigint, rank bigint NOT NULL, row bytea NOT NULL, PRIMARY KEY (project, entity)
);
CREATE TABLE IF NOT EXISTS windlass_online_text (
    project text, entity text COLLATE "C", rank bigint NOT NULL, row bytea NOT NULL, PRIMARY KEY (project, entity)
);
CREATE TABLE IF NOT EXISTS windlass_online_notes (
    project text, name text, rank bigint NOT NULL, note bytea NOT NULL, PRIMARY KEY (project, name)
)
"""
_TABLE_EXISTS = "SELECT to_regclass(%s)"


class _Table(NamedTuple):
    """Table of entities whose keys are of one type."""

    name: str
    key_type: str  # as COPY names it
    column_type: str


_ENTITIES: dict[type, _Table] = {
    int: _Table("windlass_online", "int8", "bigint"),
    str: _Table("windlass_online_text", "text", 'text COLLATE "C"'),
}
_NOTES = "windlass_online_notes"
_GET = "SELECT row FROM {0.name} WHERE project = %s AND entity = %s"
_GET_MANY = (
    "SELECT entity, row FROM {0.name} WHERE project = %s AND entity = ANY (%s::{0.key_type}[])"
)
_ANY = "SELECT entity FROM {0.name} WHERE project = %s LIMIT 1"
_INCOMING = (
    "CREATE TEMP TABLE incoming (entity {0.column_type}, rank bigint, row bytea) ON COMMIT DROP"
)
_COPY = "COPY incoming FROM STDIN (FORMAT BINARY)"
# sorted by entity, so that two writers lock rows in the same order
_PUT = """
INSERT INTO {0.name} AS there
SELECT DISTINCT ON (entity) %s, entity, rank, row FROM incoming ORDER BY entity, rank DESC
ON CONFLICT (project, entity) DO UPDATE SET rank = excluded.rank, row = excluded.row
WHERE excluded.rank >= there.rank
"""
_REMOVE = "DELETE FROM {0.name} WHERE project = %s AND entity = %s"
_CLEAR = "DELETE FROM {0} WHERE project = %s"
_COUNT = "SELECT count(*) FROM {0.name} WHERE project = %s"
_NOTE = "SELECT note FROM windlass_online_notes WHERE project = %s AND name = %s"
_PUT_NOTE = """
INSERT INTO windlass_online_notes AS there VALUES (%s, %s, %s, %s)
ON CONFLICT (project, name) DO UPDATE SET rank = excluded.rank, note = excluded.note
WHERE excluded.rank >= there.rank
"""
_REMOVE_NOTE = "DELETE FROM windlass_online_notes WHERE project = %s AND name = %s"


class PostgresKeyValueStore:
    """`KeyValueStore` in a PostgreSQL database: each reading thread takes a connection from a pool."""

    def __init__(
        self, url: str, project: str, timeouts: Mapping[str, int] = LIBPQ_TIMEOUTS
    ) -> None:
        try:
            parameters = conninfo_to_dict("postgresql" + url[url.index("://") :])
        except Error as error:
            raise ValueError("not a URL of PostgreSQL") from error
        self._connection_options: dict[str, Any] = {**timeouts, **parameters}
        self._project = project
        self._idle: list[Connection] = []
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        self.where = f"The online store {parts.scheme}://{address}{parts.path}"

    def get(self, entity: EntityKey) -> bytes | None:
        """The row of an entity; None where there is none."""
        row: bytes | None = self._fetch_value(_GET.format(_ENTITIES[type(entity)]), entity)
        return row

    def get_many(self, entities: Sequence[EntityKey]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        if not entities:
            return []
        rows = dict(self._query(_GET_MANY.format(_ENTITIES[type(entities[0])]), list(entities)))
        return list(map(rows.get, entities))

    def any_entity(self) -> EntityKey | None:
        """Some entity that has a row; None where none has."""
        entities = (self._fetch_value(_ANY.format(table)) for table in _ENTITIES.values())
        return next((entity for entity in entities if entity is not None), None)

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows in one transaction; says how many of them were new or replaced what was there."""
        first, rows = with_first(rows)
        if first is None:
            return 0
        table = _ENTITIES[type(first[0])]
        with self._transaction(table.name) as connection:
            connection.execute(_INCOMING.format(table))
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.set_types([table.key_type, "int8", "bytea"])
                for row in rows:
                    copy.write_row(row)
            return connection.execute(_PUT.format(table), (self._project,)).rowcount

    def remove(self, entity: EntityKey) -> bool:
        """Removes the row of an entity; False where there is none."""
        return self._change(_REMOVE.format(_ENTITIES[type(entity)]), entity) > 0

    def clear(self) -> None:
        """Remove all rows and all notes of the project."""
        for name in (_NOTES, *(table.name for table in _ENTITIES.values())):
            self._change(_CLEAR.format(name))

    def count(self) -> int:
        """How many entities have a row."""
        return sum(
            int(self._fetch_value(_COUNT.format(table)) or 0) for table in _ENTITIES.values()
        )

    def metadata(self, name: str) -> bytes | None:
        """The note of this name; None where there is none."""
        value: bytes | None = self._fetch_value(_NOTE, name)
        return value

    def put_metadata(self, name: str, rank: int, value: bytes) -> None:
        """Put a note."""
        with self._transaction() as connection:
            connection.execute(_PUT_NOTE, (self._project, name, rank, value))

    def remove_metadata(self, name: str) -> None:
        """Remove metadata, if there is any."""
        self._change(_REMOVE_NOTE, name)

    def close(self) -> None:
        """Close the idle connections; the next read opens another."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, table: str = _NOTES) -> Iterator[Connection]:
        """Opens a transaction on its own connection, and creates all tables where this one is missing."""
        with self._translate_errors(), self._connect() as connection, connection.transaction():
            connection.execute(_SET_LOCK_TIMEOUT)
            exists = connection.execute(_TABLE_EXISTS, (table,)).fetchone()
            if exists == (None,):  # or it would need the right to create
                connection.execute(_TABLES)
            yield connection

    def _fetch_value(self, query: str, *parameters: Any) -> Any:
        rows = self._query(query, *parameters)
        return rows[0][0] if rows else None

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
        """Runs repeatable work on an idle connection or a new one; returns `nothing` where there are no tables yet."""
        with self._translate_errors():
            while True:
                idle = self._take_idle()
                connection = idle or self._connect()
                try:
                    result = work(connection)
                except UndefinedTable:
                    connection.close()
                    return nothing
                except OperationalError:
                    connection.close()
                    if idle is None:
                        raise
                    continue  # the server has restarted since
                except BaseException:
                    connection.close()
                    raise
                self._put_back(connection)
                return result

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
