"""Key-value store in Redis: one hash of a project's entities, and one of its metadata."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from windlass.errors import StorageError
from windlass.features.online.key_value import RankedRow

TIMEOUT = 5.0  # seconds for a reply, and for a connection
_ROWS_PER_CALL = 500  # Redis does nothing else for about as many microseconds
# the new value begins with its rank, as the stored one does
_PUT = """
local put = 0
for i = 1, #ARGV, 2 do
    local there = redis.call('HGET', KEYS[1], ARGV[i])
    local function rank(row) return tonumber(string.match(row, '^%[(%d+)')) end
    if not there or rank(there) <= rank(ARGV[i + 1]) then
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
        self._entities = f"windlass:{{{project}}}:entities"
        self._notes = f"windlass:{{{project}}}:notes"
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        self.where = f"The online store {parts.scheme}://{address}{parts.path}"

    def get(self, entity: int) -> bytes | None:
        """The row of an entity; None where there is none."""
        with self._translate_errors():
            row: bytes | None = self._redis.hget(self._entities, str(entity))
            return row

    def get_many(self, entities: Sequence[int]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        if not entities:
            return []
        with self._translate_errors():
            return list(self._redis.hmget(self._entities, list(map(str, entities))))

    def any_entity(self) -> int | None:
        """Some entity that has a row; None where none has."""
        with self._translate_errors():
            entity = self._redis.hrandfield(self._entities)
        return None if entity is None else int(entity)

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows, some hundred at a time; says how many of them were new or replaced what was there."""
        put, remaining = 0, iter(rows)
        while batch := list(islice(remaining, _ROWS_PER_CALL)):
            flat = [cell for entity, _, row in batch for cell in (entity, row)]
            with self._translate_errors():
                put += int(self._put([self._entities], flat))
        return put

    def remove(self, entity: int) -> bool:
        """Removes the row of an entity; False where there is none."""
        with self._translate_errors():
            return bool(self._redis.hdel(self._entities, str(entity)))

    def count(self) -> int:
        """How many entities have a row."""
        with self._translate_errors():
            return int(self._redis.hlen(self._entities))

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
