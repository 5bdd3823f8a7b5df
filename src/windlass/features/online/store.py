"""The online store: the newest that is known of each entity of a project, and who keeps it."""

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError, SettingsError, StorageError
from windlass.features.online.key_value import KeyValueStore
from windlass.features.online.row_format import RowLayout, StoredRow
from windlass.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


class MaterialisationProgress(BaseModel):
    """How many parts of a snapshot are written, in the order of their names, and the `last` of these.

    `created` tells a snapshot from another of its number.
    """

    model_config = ConfigDict(frozen=True)

    snapshot: int
    created: float  # epoch seconds
    view: str  # the version of the view that computed the snapshot
    parts: int = 0
    last: str = ""
    newest: date | None = None  # event so far


class Freshness(BaseModel):
    """What an online store was last brought up to, whole: the snapshot, and when.

    `name` and `view` are the view's name and version, `newest` is the day of the newest event, and `entities`
    counts what the store then held.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    view: str
    snapshot: int
    created: float  # when the snapshot was, epoch seconds
    materialised_at: float  # epoch seconds
    newest: date | None
    entities: int


_REDIS = ("redis", "rediss", "unix")
_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")
_URL_ADVICE = (
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

    def read(self, entity: int) -> StoredRow | None:
        """What is known of an entity; None for one that is unknown."""
        ...

    def read_many(self, entities: Sequence[int]) -> list[StoredRow | None]:
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

    def progress(self, snapshot: int) -> MaterialisationProgress | None:
        """How far the materialisation of a snapshot had come when it was broken off; None where none was."""
        ...

    def save_progress(self, progress: MaterialisationProgress) -> None:
        """Keep how far a materialisation has come. What was further already stays."""
        ...

    def finish(self, progress: MaterialisationProgress) -> Freshness:
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

    return KeyValueOnlineStore(_key_value_store(settings, project), record)


def _key_value_store(settings: Settings, project: str) -> "KeyValueStore":
    if settings.online_url is None:
        from windlass.features.online.sqlite import SqliteKeyValueStore

        return SqliteKeyValueStore(settings.home / "features" / project / "online.db")
    scheme = settings.online_url.partition("://")[0]
    try:
        if scheme in _REDIS:
            from windlass.features.online.redis import RedisKeyValueStore

            return RedisKeyValueStore(settings.online_url, project)
        if scheme in _POSTGRES:
            from windlass.features.online.postgres import PostgresKeyValueStore

            return PostgresKeyValueStore(settings.online_url, project)
    except ImportError as error:
        raise SettingsError(
            f"WINDLASS_ONLINE_URL cannot be used: {error}. {_URL_ADVICE}"
        ) from error
    except ValueError:  # what it tells may hold the password
        raise SettingsError(f"WINDLASS_ONLINE_URL is no such URL. {_URL_ADVICE}") from None
    raise SettingsError(f"WINDLASS_ONLINE_URL names {scheme[:20]!r}. {_URL_ADVICE}")


_FRESHNESS = "freshness"


class KeyValueOnlineStore:
    """The `OnlineStore` of one project, on a shelf."""

    def __init__(self, key_values: KeyValueStore, record: ViewRecord) -> None:
        self._key_values = key_values
        self._record = record
        self._layouts: dict[int, RowLayout] = {}
        self.close = key_values.close

    def read(self, entity: int) -> StoredRow | None:
        """What is known of an entity; None for one that is unknown."""
        _check_entity(entity)
        found = self._key_values.get(entity)
        if found is None:
            return None
        row = orjson.loads(found)
        return StoredRow(row, self._layout(row[1]))

    def read_many(self, entities: Sequence[int]) -> list[StoredRow | None]:
        """What is known of each of these entities, in their order, in one query."""
        for entity in entities:
            _check_entity(entity)
        found = self._key_values.get_many(entities)
        rows = orjson.loads(b"[%b]" % b",".join([row or b"null" for row in found]))
        layouts = {number: self._layout(number) for number in {row[1] for row in rows if row}}
        return [None if row is None else StoredRow(row, layouts[row[1]]) for row in rows]

    def example(self) -> int | None:
        """Some entity that is known, to try the store with; None where none is."""
        return self._key_values.any()

    def write(self, rows: "pa.Table", snapshot: int, view: str | None = None) -> int:
        """Write rows of the `latest` parts of a snapshot; says how many were new or replaced what was there."""
        from windlass.features.online.encoding import encode, layout_of

        layout = layout_of(rows, self._record, view or self._record.version)
        if layout.number not in self._layouts:
            self._key_values.put_metadata(
                _layout_name(layout.number), 0, layout.model_dump_json().encode()
            )
            self._layouts[layout.number] = layout
        return self._key_values.put(encode(rows, self._record, snapshot, layout))

    def progress(self, snapshot: int) -> MaterialisationProgress | None:
        """How far the materialisation of a snapshot had come when it was broken off; None where none was."""
        found = self._key_values.metadata(_progress_name(snapshot))
        return None if found is None else MaterialisationProgress.model_validate_json(found)

    def save_progress(self, progress: MaterialisationProgress) -> None:
        """Keep how far a materialisation has come. What was further already stays."""
        note = progress.model_dump_json().encode()
        self._key_values.put_metadata(_progress_name(progress.snapshot), progress.parts, note)

    def finish(self, progress: MaterialisationProgress) -> Freshness:
        """Keep that a snapshot is written whole. An older one leaves the freshness as it is."""
        freshness = Freshness(
            **progress.model_dump(exclude={"parts", "last"}),
            name=self._record.name,
            materialised_at=time.time(),
            entities=self._key_values.count(),
        )
        self._key_values.put_metadata(
            _FRESHNESS, freshness.snapshot, freshness.model_dump_json().encode()
        )
        self._key_values.remove_metadata(_progress_name(progress.snapshot))
        return freshness

    def freshness(self) -> Freshness | None:
        """What the store was last brought up to, whole; None where it never was."""
        found = self._key_values.metadata(_FRESHNESS)
        return None if found is None else Freshness.model_validate_json(found)

    def erase(self, entity: int) -> bool:
        """Forget an entity at once. False where nothing was known of it."""
        _check_entity(entity)
        return self._key_values.remove(entity)

    def _layout(self, number: int) -> RowLayout:
        known = self._layouts.get(number)
        if known is None:
            found = self._key_values.metadata(_layout_name(number))
            if found is None:
                raise StorageError(
                    f"{self._key_values.where} holds rows whose layout is gone. Materialise the features again."
                )
            known = self._layouts[number] = RowLayout.model_validate_json(found)
        return known


def _check_entity(entity: Any) -> None:
    if type(entity) is not int:
        raise FeatureError(
            f"Entities are 64-bit integers, and one that was asked for is of type {type(entity).__name__}."
        )
    if not -(1 << 63) <= entity < 1 << 63:
        raise FeatureError("Entities are 64-bit integers, and one that was asked for is beyond.")


def _layout_name(number: int) -> str:
    return f"layout {number}"


def _progress_name(snapshot: int) -> str:
    return f"progress {snapshot}"
