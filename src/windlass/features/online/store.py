"""The online store: the newest that is known of each entity of a project, and who keeps it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from windlass.core.feature_view import ViewRecord
from windlass.errors import SettingsError
from windlass.features.online.freshness import Freshness, Progress
from windlass.features.online.known import Known
from windlass.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from windlass.features.online.shelf import Shelf

_REDIS = ("redis", "rediss", "unix")
_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")
_FORM = (
    "Use redis://HOST:6379/0 or postgresql+psycopg://USER:PASSWORD@HOST/NAME (with windlass[redis] or"
    " windlass[postgres] installed), or leave it out for SQLite."
)


class OnlineStore(Protocol):
    """What is known of the entities of one project. Safe to share between threads, not over a fork.

    Any number of processes may read and write one store at once. A row replaces what is kept of its entity
    unless that is of a newer event, or of the same day from a newer snapshot; so it makes no difference in
    which order rows are written, or how often. Entities are 64-bit integers; FeatureError for others. Every
    method raises StorageError where the store cannot be reached, read or written.
    """

    def read(self, entity: int) -> Known | None:
        """What is known of an entity; None for one that is unknown."""
        ...

    def read_many(self, entities: Sequence[int]) -> list[Known | None]:
        """What is known of each of these entities, in their order, in one query."""
        ...

    def example(self) -> int | None:
        """Some entity that is known, to try the store with; None where none is."""
        ...

    def write(self, rows: "pa.Table", snapshot: int, view: str | None = None) -> int:
        """Write rows of the `latest` parts of a snapshot; says how many were new or replaced what was there.

        `view` is the version of the view that computed them, by default the store's own.
        Raises FeatureError for rows that cannot be kept.
        """
        ...

    def progress(self, snapshot: int) -> Progress | None:
        """How far the materialisation of a snapshot had come when it was broken off; None where none was."""
        ...

    def mark(self, progress: Progress) -> None:
        """Keep how far a materialisation has come. What was further already stays."""
        ...

    def finish(self, progress: Progress) -> Freshness:
        """Keep that a snapshot is written whole. An older one leaves the freshness as it is."""
        ...

    def freshness(self) -> Freshness | None:
        """What the store was last brought up to, whole; None where it never was."""
        ...

    def erase(self, entity: int) -> bool:
        """Forget an entity at once. False where nothing was known of it."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def online_store(settings: Settings, record: ViewRecord, project: str) -> OnlineStore:
    """The store that the settings name. It is reached for when it is first used.

    Raises SettingsError for a URL that cannot be used, or whose client is not installed.
    """
    from windlass.features.online.shelved import ShelvedStore

    return ShelvedStore(_shelf(settings, project), record)


def _shelf(settings: Settings, project: str) -> "Shelf":
    if settings.online_url is None:
        from windlass.features.online.sqlite import SqliteShelf

        return SqliteShelf(settings.home / "features" / project / "online.db")
    scheme = settings.online_url.partition("://")[0]
    try:
        if scheme in _REDIS:
            from windlass.features.online.redis import RedisShelf

            return RedisShelf(settings.online_url, project)
        if scheme in _POSTGRES:
            from windlass.features.online.postgres import PostgresShelf

            return PostgresShelf(settings.online_url, project)
    except ImportError as error:
        raise SettingsError(f"WINDLASS_ONLINE_URL cannot be used: {error}. {_FORM}") from error
    except ValueError:  # what it tells may hold the password
        raise SettingsError(f"WINDLASS_ONLINE_URL is no such URL. {_FORM}") from None
    raise SettingsError(f"WINDLASS_ONLINE_URL names {scheme[:20]!r}. {_FORM}")
