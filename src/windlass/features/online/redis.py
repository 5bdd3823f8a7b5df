"""Key-value store in Redis: one hash of a project's entities, and one of its metadata."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from windlass.core.entity_ids import EntityKey
from windlass.errors import StorageError
from windlass.features.online.key_value import RankedRow, with_first

TIMEOUT = 5.0  # seconds for a reply, and for a connection
_ROWS_PER_CALL = 500  # Redis does nothing else for about as many microseconds
# the new value begins with its rank, as the stored one does; ranks are compared as text, for Lua's numbers have 53 bits
_PUT = """
local put = 0
local function rank(row) return string.match(row, '^%[(%d+)') end
local function not_above(a, b) return #a < #b or (#a == #b and a <= b) end
for i = 1, #ARGV, 2 do
    local there = redis.call('HGET', KEYS[1], ARGV[i])
    if not there or not_above(rank(there), rank(ARGV[i + 1])) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        put = put + 1
    end
end
return put
"""
_ADVICE = {
    "maxmemory": "Give it more memory.",
    "Authentication required": "Put the password in WINDLASS_ONLINE_URL.",
    "username-password": "Correct the password in WINDLASS_ONLINE_URL.",
    "permissions": "Let this user read and write hashes and call scripts.",
    "read only replica": "Name the primary in WINDLASS_ONLINE_URL.",
    "MISCONF": "See its log: it cannot write its disk.",
}
_DEFAULT_ADVICE = "See whether it runs and can be reached, then try again."


class RedisKeyValueStore:
    """`KeyValueStore` in a Redis server: braces in the keys keep a project on one node of a cluster."""

    def __init__(self, url: str, project: str, timeout: float = TIMEOUT) -> None:
        self._redis = _client(url, timeout)
        self._put = self._redis.register_script(_PUT)
        self._entities: dict[type, str] = {
            int: f"windlass:{{{project}}}:entities",
            str: f"windlass:{{{project}}}:text_entities",
        }
        self._notes = f"windlass:{{{project}}}:notes"
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        self.where = f"The online store {parts.scheme}://{address}{parts.path}"

    def get(self, entity: EntityKey) -> bytes | None:
        """The row of an entity; None where there is none."""
        with self._translate_errors():
            row: bytes | None = self._redis.hget(self._entities[type(entity)], str(entity))
            return row

    def get_many(self, entities: Sequence[EntityKey]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        if not entities:
            return []
        with self._translate_errors():
            return list(
                self._redis.hmget(self._entities[type(entities[0])], list(map(str, entities)))
            )

    def any_entity(self) -> EntityKey | None:
        """Some entity that has a row; None where none has."""
        for kind, entities in self._entities.items():
            with self._translate_errors():
                entity = self._redis.hrandfield(entities)
            if entity is not None:
                return int(entity) if kind is int else str(entity, "utf-8")
        return None

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows, some hundred at a time; says how many of them were new or replaced what was there."""
        first, rows = with_first(rows)
        if first is None:
            return 0
        put, remaining, entities = 0, iter(rows), self._entities[type(first[0])]
        while batch := list(islice(remaining, _ROWS_PER_CALL)):
            flat = [cell for entity, _, row in batch for cell in (entity, row)]
            with self._translate_errors():
                put += int(self._put([entities], flat))
        return put

    def remove(self, entity: EntityKey) -> bool:
        """Removes the row of an entity; False where there is none."""
        with self._translate_errors():
            return bool(self._redis.hdel(self._entities[type(entity)], str(entity)))

    def count(self) -> int:
        """How many entities have a row."""
        with self._translate_errors():
            return sum(int(self._redis.hlen(entities)) for entities in self._entities.values())

    def clear(self) -> None:
        """Remove all rows and all notes of the project."""
        with self._translate_errors():
            self._redis.delete(*self._entities.values(), self._notes)

    def metadata(self, name: str) -> bytes | None:
        """The note of this name; None where there is none."""
        with self._translate_errors():
            value: bytes | None = self._redis.hget(self._notes, name)
        return None if value is None else value[value.index(b",") + 1 : -1]

    def put_metadata(self, name: str, rank: int, value: bytes) -> None:
        """Put a note."""
        with self._translate_errors():
            self._put([self._notes], [name, b"[%d,%b]" % (rank, value)])

    def remove_metadata(self, name: str) -> None:
        """Remove metadata, if there is any."""
        with self._translate_errors():
            self._redis.hdel(self._notes, name)

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            message = " ".join(str(error).split())[:300].rstrip(".")
            advice = next((_ADVICE[sign] for sign in _ADVICE if sign in message), _DEFAULT_ADVICE)
            raise StorageError(f"{self.where} failed: {message}. {advice}") from error


def _client(url: str, timeout: float) -> Redis:
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        raise ValueError("not the number of a database")  # the client would take the first
    client = Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 1)
    )
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)  # connects later
    except TypeError as error:
        raise ValueError("unknown options") from error
    return client
