"""Protocol of the databases under an online store: bytes by entity and by name, the highest rank of each wins."""

from collections.abc import Iterable, Sequence
from typing import Protocol

URL_VARIABLE = "WINDLASS_ONLINE_URL"  # the setting that names the database
RankedRow = tuple[int, int, bytes]  # entity, rank, row


class KeyValueStore(Protocol):
    """Key-value store of one project: rows by entity, metadata by name.

    It is safe to share between threads, not over a fork.

    A put replaces the stored value unless that has a higher rank; the database itself decides, atomically. A row is
    a JSON array that begins with its rank. Puts are durable. Every method raises StorageError where the database
    fails or cannot be reached; reads create nothing.
    """

    @property
    def where(self) -> str:
        """The store and its address without secrets, for messages."""

    def get(self, entity: int) -> bytes | None:
        """Returns the row of an entity; None where there is none."""

    def get_many(self, entities: Sequence[int]) -> list[bytes | None]:
        """Returns the rows of entities, in their order, in one query."""

    def any_entity(self) -> int | None:
        """Returns some entity that has a row; None where none has."""

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Puts rows; returns how many were new or replaced a row."""

    def remove(self, entity: int) -> bool:
        """Removes the row of an entity; False where there is none."""

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
