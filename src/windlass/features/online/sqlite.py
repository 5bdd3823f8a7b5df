"""Key-value store in a SQLite file with a write-ahead log: nothing to start, and read in microseconds."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from windlass.core.atomic_files import create_private_file, make_private_folder
from windlass.core.entity_ids import EntityKey
from windlass.errors import StorageError
from windlass.features.online.key_value import URL_VARIABLE, RankedRow, with_first
from windlass.storage.db_errors import next_step

_CACHE_KIB = 1 << 16
# an INTEGER PRIMARY KEY is SQLite's own row number: reading by it is faster than WITHOUT ROWID
_TABLES = """
CREATE TABLE IF NOT EXISTS entities (entity INTEGER PRIMARY KEY, rank INTEGER NOT NULL, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS text_entities (entity TEXT PRIMARY KEY, rank INTEGER NOT NULL, row BLOB NOT NULL)
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, rank INTEGER NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;
"""
_COUNT_TABLES = "SELECT count(*) FROM sqlite_master WHERE name IN ('entities', 'notes')"
_ENTITIES: dict[type, str] = {int: "entities", str: "text_entities"}
_NO_TABLE = "no such table"  # of text, in a file that an earlier version of Windlass made


def _for_each_table(statement: str) -> dict[type, str]:
    return {kind: statement.format(table) for kind, table in _ENTITIES.items()}


_GET = _for_each_table("SELECT row FROM {} WHERE entity = ?")
_GET_MANY = _for_each_table(
    "SELECT entity, row FROM json_each(?) AS requested CROSS JOIN {} ON entity = requested.value"
)
_ANY = _for_each_table("SELECT entity FROM {} LIMIT 1")
_COUNT = _for_each_table("SELECT count(*) FROM {}")
_REMOVE = _for_each_table("DELETE FROM {} WHERE entity = ?")
_PUT = _for_each_table(
    "INSERT INTO {} VALUES (?, ?, ?) ON CONFLICT (entity)"
    " DO UPDATE SET rank = excluded.rank, row = excluded.row WHERE excluded.rank >= rank"
)
_PUT_NOTE = (
    "INSERT INTO notes VALUES (?, ?, ?) ON CONFLICT (name)"
    " DO UPDATE SET rank = excluded.rank, note = excluded.note WHERE excluded.rank >= rank"
)


@dataclass(frozen=True)
class SqliteTimings:
    """Times of a SQLite store, in seconds."""

    write: float = 30.0  # that a writer waits for another
    read: float = 2.0  # that a reader waits while the log is created or removed
    file_check: float = 1.0  # between checks whether the file was replaced


_TIMINGS = SqliteTimings()


class SqliteKeyValueStore:
    """`KeyValueStore` in one file: reads share one connection, a thread at a time, and never wait for writers."""

    def __init__(self, file: Path, timings: SqliteTimings = _TIMINGS) -> None:
        self.where = f"The online store {file}"
        self._file = file
        self._timings = timings
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None  # device and inode
        self._next_check = 0.0  # monotonic

    def get(self, entity: EntityKey) -> bytes | None:
        """The row of an entity; None where there is none."""
        row: bytes | None = self._fetch_value(_GET[type(entity)], entity)
        return row

    def get_many(self, entities: Sequence[EntityKey]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        if not entities:
            return []
        with self._lock:
            try:
                connection = self._read_connection()
                if connection is None:
                    return [None] * len(entities)
                parameters = orjson.dumps(list(entities)).decode()
                query = _GET_MANY[type(entities[0])]
                rows = dict(connection.execute(query, (parameters,)).fetchall())
            except sqlite3.Error as error:
                if _NO_TABLE in str(error):
                    return [None] * len(entities)
                raise self._close_after(error) from error
        return list(map(rows.get, entities))

    def any_entity(self) -> EntityKey | None:
        """Some entity that has a row; None where none has."""
        entities = map(self._fetch_value, _ANY.values())
        return next((entity for entity in entities if entity is not None), None)

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows in one transaction; says how many of them were new or replaced what was there."""
        first, rows = with_first(rows)
        if first is None:
            return 0
        with self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(_PUT[type(first[0])], rows)
            return connection.total_changes - before

    def remove(self, entity: EntityKey) -> bool:
        """Removes the row of an entity, also from the log; False where there is none."""
        if not self._file.exists():
            return False
        with self._transaction() as connection:
            removed = connection.execute(_REMOVE[type(entity)], (entity,)).rowcount
        with self._open() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed > 0

    def count(self) -> int:
        """How many entities have a row."""
        return sum(int(self._fetch_value(query) or 0) for query in _COUNT.values())

    def clear(self) -> None:
        """Remove all rows and all notes of the project."""
        if not self._file.exists():
            return
        with self._transaction() as connection:
            for table in (*_ENTITIES.values(), "notes"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - of our own names

    def metadata(self, name: str) -> bytes | None:
        """The note of this name; None where there is none."""
        value: bytes | None = self._fetch_value("SELECT note FROM notes WHERE name = ?", name)
        return value

    def put_metadata(self, name: str, rank: int, value: bytes) -> None:
        """Put a note."""
        with self._transaction() as connection:
            connection.execute(_PUT_NOTE, (name, rank, value))

    def remove_metadata(self, name: str) -> None:
        """Remove metadata, if there is any."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM notes WHERE name = ?", (name,))

    def close(self) -> None:
        """Close the reading connection; the next read opens another."""
        with self._lock:
            self._close()

    def _fetch_value(self, query: str, *parameters: int | str) -> Any:
        with self._lock:
            try:
                connection = self._read_connection()
                if connection is None:
                    return None
                row = connection.execute(query, parameters).fetchone()
            except sqlite3.Error as error:
                if _NO_TABLE in str(error):
                    return None
                raise self._close_after(error) from error
        return None if row is None else row[0]

    def _read_connection(self) -> sqlite3.Connection | None:
        """Returns the connection for reads, to the file that is there now; None where nothing was ever written."""
        if self._connection is not None and time.monotonic() < self._next_check:
            return self._connection
        try:
            status = self._file.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._close()
            return None
        except OSError as error:
            raise self._close_after(error) from error
        if self._connection is not None and self._file_id != (status.st_dev, status.st_ino):
            self._close()
        if self._connection is None:
            connection = self._connect("mode=rw", self._timings.read)
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            tables = connection.execute(_COUNT_TABLES).fetchone()
            if tables != (2,):  # another process is creating them
                connection.close()
                return None
            self._connection, self._file_id = connection, (status.st_dev, status.st_ino)
        self._next_check = time.monotonic() + self._timings.file_check
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Opens a write transaction on its own connection; waits for another writer, but not for ever."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            make_private_folder(self._file.parent)
            create_private_file(self._file)
            with closing(self._connect("mode=rwc", self._timings.write)) as connection:
                _use_wal(connection, self._timings.write)
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten
                connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                connection.executescript(_TABLES)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise self._translate_errors(error) from error

    def _connect(self, mode: str, timeout: float) -> sqlite3.Connection:
        address = f"{self._file.absolute().as_uri()}?{mode}"
        return sqlite3.connect(
            address, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _close_after(self, error: Exception) -> StorageError:
        self._close()  # the next read opens another
        return self._translate_errors(error)

    def _translate_errors(self, error: Exception) -> StorageError:
        message = str(error).rstrip(".")
        return StorageError(f"{self.where} failed: {message}. {next_step(message, URL_VARIABLE)}")


def _use_wal(connection: sqlite3.Connection, timeout: float) -> None:
    """Switch to WAL. SQLite does not wait for another process that does the same, so we do."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
