"""Protocol of the databases under an online store: bytes by entity and by name, the highest rank of each wins."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Protocol

from windlass.core.entity_ids import EntityKey

URL_VARIABLE = "WINDLASS_ONLINE_URL"  # the setting that names the database
RankedRow = tuple[EntityKey, int, bytes]  # entity, rank, row


class KeyValueStore(Protocol):
    """Key-value store of one project: rows by entity, metadata by name.

    The keys of entities are integers or text. It is safe to share between threads, not over a fork.

    A put replaces the stored value unless that has a higher rank; the database itself decides, atomically. A row is
    a JSON array that begins with its rank. Puts are durable. Every method raises StorageError where the database
    fails or cannot be reached; reads create nothing.
    """

    @property
    def where(self) -> str:
        """The store and its address without secrets, for messages."""

    def get(self, entity: EntityKey) -> bytes | None:
        """Returns the row of an entity; None where there is none."""

    def get_many(self, entities: Sequence[EntityKey]) -> list[bytes | None]:
        """Returns the rows of entities, in their order, in one query; all keys are integers, or all text."""

    def any_entity(self) -> EntityKey | None:
        """Returns some entity that has a row; None where none has."""

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Puts rows, whose keys are all integers or all text; returns how many were new or replaced a row."""

    def remove(self, entity: EntityKey) -> bool:
        """Removes the row of an entity; False where there is none."""

    def clear(self) -> None:
        """Remove all rows and all metadata of the project."""

    def count(self) -> int:
        """Counts the entities that have a row."""

    def metadata(self, name: str) -> bytes | None:
        """Returns the metadata of this name; None where there is none."""

    def put_metadata(self, name: str, rank: int, value: bytes) -> None:
        """Put metadata."""

    def remove_metadata(self, name: str) -> None:
        """Remove metadata, if there is any."""

    def close(self) -> None:
        """Close every connection."""


def with_first(rows: Iterable[RankedRow]) -> tuple[RankedRow | None, Iterable[RankedRow]]:
    """Returns the first row, or None, and all rows."""
    remaining = iter(rows)
    first = next(remaining, None)
    return first, () if first is None else chain((first,), remaining)
