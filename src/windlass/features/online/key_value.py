"""What a database has to do to carry an online store: keep bytes by entity and by name, the highest rank of each."""

from collections.abc import Iterable, Sequence
from typing import Protocol

URL_VARIABLE = "WINDLASS_ONLINE_URL"  # which names it
RankedRow = tuple[int, int, bytes]  # entity, rank, row


class KeyValueStore(Protocol):
    """Rows of one project by entity, and notes by name. Safe to share between threads, not over a fork.

    What is put replaces what is there unless that has a higher rank, decided by the database itself. A row is
    a JSON array that begins with its rank. What was put lasts. Every method raises StorageError where the
    database fails or cannot be reached; reading makes nothing.
    """

    @property
    def where(self) -> str:
        """What is kept where, for people."""
        ...

    def get(self, entity: int) -> bytes | None:
        """The row of an entity; None where there is none."""
        ...

    def get_many(self, entities: Sequence[int]) -> list[bytes | None]:
        """The rows of entities, in their order, in one query."""
        ...

    def any(self) -> int | None:
        """Some entity that has a row; None where none has."""
        ...

    def put(self, rows: Iterable[RankedRow]) -> int:
        """Put rows; says how many of them were new or replaced what was there."""
        ...

    def remove(self, entity: int) -> bool:
        """Remove the row of an entity. False where there is none."""
        ...

    def count(self) -> int:
        """How many entities have a row."""
        ...

    def metadata(self, name: str) -> bytes | None:
        """The note of this name; None where there is none."""
        ...

    def put_metadata(self, name: str, rank: int, note: bytes) -> None:
        """Put a note."""
        ...

    def remove_metadata(self, name: str) -> None:
        """Remove a note. One that is not there is removed already."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
