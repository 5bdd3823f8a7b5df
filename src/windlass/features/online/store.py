"""Stores the newest state of each entity of a project online: in SQLite, Redis or PostgreSQL."""

import time
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict

from windlass.core.entity_ids import (
    MAX_INTEGER,
    MAX_TEXT_LENGTH,
    MIN_INTEGER,
    EntityId,
    EntityIds,
    EntityKey,
    IdType,
    entity_key,
)
from windlass.core.error_descriptions import missing_extra
from windlass.core.feature_view import ViewRecord
from windlass.errors import SettingsError, StorageError
from windlass.features.online.key_value import KeyValueStore
from windlass.features.online.row_format import NO_BEFORE_EVENT, RowLayout, StoredRow
from windlass.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa


class StoredEntities(BaseModel):
    """What all rows of a store have in common: by what they are found, and how their events are ordered.

    `entity_columns` is empty where an earlier version of Windlass wrote it, `has_times` says whether events have a time
    of day.
    """

    model_config = ConfigDict(frozen=True)

    entity_columns: tuple[str, ...] = ()
    entity_types: tuple[IdType, ...] = ("integer",)
    has_times: bool = False

    @property
    def identity(self) -> tuple[Any, ...]:
        """What differs between rows that no store can hold together."""
        several = self.entity_columns if len(self.entity_types) > 1 else ()
        return several, self.entity_types, self.has_times

    def describe(self) -> str:
        """Returns the ids and the order of events, for messages."""
        names = self.entity_columns if len(self.entity_types) > 1 else ("id",)
        ids = EntityIds(names, self.entity_types).form
        return f"{ids}, whose events have {'times' if self.has_times else 'dates'}"


class MaterialisationProgress(StoredEntities):
    """Progress of a materialisation: how many parts are written, in the order of their names, and the `last` of them.

    `created` distinguishes a snapshot from another with its number. `before_event` says whether its rows have the
    columns as they were before the latest event.
    """

    model_config = ConfigDict(frozen=True)

    snapshot: int
    created: float  # epoch seconds
    view: str  # the version of the view that computed the snapshot
    parts: int = 0
    last: str = ""
    newest: date | None = None  # day of the newest event so far
    before_event: bool = False


class Freshness(StoredEntities):
    """Freshness of an online store: the snapshot that was last written completely, and when.

    `name` and `view` are the view's name and version, `newest` is the day of the newest event, and `entities`
    counts the stored entities at that time. `before_event` is that of `MaterialisationProgress`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    view: str
    snapshot: int
    created: float  # when the snapshot was built, epoch seconds
    materialised_at: float  # epoch seconds
    newest: date | None
    entities: int
    before_event: bool = False

    def entity_ids(self, view: ViewRecord) -> EntityIds | None:
        """Returns what ids the stored entities have; None where the view has another number of columns."""
        columns = view.entity_columns
        fits = len(self.entity_types) == len(columns)
        return EntityIds(columns, self.entity_types) if fits else None

    def missing_columns(self, view: ViewRecord) -> str | None:
        """Returns why the view cannot serve these rows; None where it can."""
        several = len(self.entity_types) > 1
        if len(view.entity_columns) != len(self.entity_types) or (
            several and self.entity_columns != view.entity_columns
        ):
            return (
                f"The online store holds features of other entities than the {', '.join(view.entity_columns)} of view"
                f" {view.name}. Build the features again, then run `windlass features materialise --replace`."
            )
        if self.before_event or view.serves == "next":
            return None
        return NO_BEFORE_EVENT.format(view=view.name)


_REDIS = ("redis", "rediss", "unix")
_POSTGRES = ("postgresql+psycopg", "postgresql", "postgres")
_URL_ADVICE = "Use redis://HOST:6379/0 or postgresql+psycopg://USER:PASSWORD@HOST/NAME, or leave it out for SQLite."


_FRESHNESS = "freshness"
_IDS_INTERVAL = 1.0  # seconds between two looks at the types of ids
_TEXT: tuple[IdType, ...] = ("text",)
_INT64 = range(MIN_INTEGER, MAX_INTEGER + 1)


class OnlineStore:
    """Newest state of each entity of one project, in a key-value store.

    It is safe to share between threads, not over a fork. Any number of processes may read and write one store at
    once. A row replaces the stored row of its entity unless that is of a newer event, or of the same day from a
    newer snapshot; so rows may be written in any order, and more than once. An entity is an integer, text, or a tuple
    of them in the order of the view's columns; ids of other types than the store's raise IdError. Every method raises
    StorageError where the store cannot be reached, read or written.
    """

    def __init__(self, key_values: KeyValueStore, record: ViewRecord) -> None:
        self._key_values = key_values
        self._record = record
        self._layouts: dict[int, RowLayout] = {}
        self._ids: EntityIds | None = None
        self._next_ids_check = float("-inf")  # monotonic
        self.close = key_values.close

    def entity_ids(self) -> EntityIds | None:
        """Returns what ids the stored entities have, as of at most a second ago; None for a store that is empty."""
        now = time.monotonic()
        if now >= self._next_ids_check:
            fresh = self.freshness()
            self._ids = None if fresh is None else fresh.entity_ids(self._record)
            self._next_ids_check = now + _IDS_INTERVAL
        return self._ids

    def check(self, entity: Any) -> EntityId:
        """Returns an id in its canonical form. Raises IdError for one of another type than the store's."""
        ids = self.entity_ids()
        return (ids or _guess_ids(entity, self._record)).check(entity)

    def check_many(self, entities: Sequence[Any]) -> Sequence[EntityId]:
        """Returns ids in their canonical form. Raises IdError for one of another type than the store's."""
        ids = self.entity_ids()
        if (ids is not None and ids.types == _TEXT) and all(
            type(entity) is str
            and entity.isascii()
            and entity.isprintable()
            and 0 < len(entity) <= MAX_TEXT_LENGTH
            for entity in entities
        ):
            return entities
        return [(ids or _guess_ids(entity, self._record)).check(entity) for entity in entities]

    def read(self, entity: EntityId) -> StoredRow | None:
        """Reads the newest state of an entity; None for one that is unknown."""
        if type(entity) is not int:
            return self.find(entity_key(self.check(entity)))
        row = self.find(entity) if entity in _INT64 else None
        if row is None:
            self.check(entity)
        return row

    def find(self, key: EntityKey) -> StoredRow | None:
        """Reads the newest state of the entity with this key; None where there is none."""
        stored = self._key_values.get(key)
        if stored is None:
            return None
        row = orjson.loads(stored)
        return StoredRow(row, self._layout(row[1]))

    def read_many(self, entities: Sequence[EntityId]) -> list[StoredRow | None]:
        """Reads the newest state of each of these entities, in their order, in one query."""
        integers = [entity for entity in entities if type(entity) is int and entity in _INT64]
        if len(integers) < len(entities):
            return self.find_many([entity_key(entity) for entity in self.check_many(entities)])
        rows = self.find_many(integers)
        if None in rows:
            for entity in integers:
                self.check(entity)
        return rows

    def find_many(self, keys: Sequence[EntityKey]) -> list[StoredRow | None]:
        """Reads the newest state of the entity of each key, in their order, in one query."""
        stored = self._key_values.get_many(keys)
        rows = orjson.loads(b"[%b]" % b",".join([row or b"null" for row in stored]))
        layouts = {number: self._layout(number) for number in {row[1] for row in rows if row}}
        return [None if row is None else StoredRow(row, layouts[row[1]]) for row in rows]

    def any_entity(self) -> EntityId | None:
        """Returns some stored entity, to test the store with; None where it is empty."""
        key = self._key_values.any_entity()
        if len(self._record.entity_columns) > 1 and isinstance(key, str):
            return tuple(orjson.loads(key))
        return key

    def write(self, rows: "pa.Table", snapshot: int, view: str | None = None) -> int:
        """Writes rows of the `latest` parts of a snapshot; returns how many were new or replaced a row.

        `view` is the version of the view that computed them, by default the store's own.
        Raises FeatureError for rows that cannot be stored.
        """
        from windlass.features.online.encoding import encode, flatten_structs, layout_of

        rows = flatten_structs(rows, self._record)
        layout = layout_of(rows, self._record, view or self._record.version)
        if layout.number not in self._layouts:
            self._put(_layout_name(layout.number), 0, layout)
            self._layouts[layout.number] = layout
        return self._key_values.put(encode(rows, self._record, snapshot, layout))

    def progress(self, snapshot: int) -> MaterialisationProgress | None:
        """Reads the progress of an unfinished materialisation of a snapshot; None where there is none."""
        stored = self._key_values.metadata(_progress_name(snapshot))
        return None if stored is None else MaterialisationProgress.model_validate_json(stored)

    def save_progress(self, progress: MaterialisationProgress) -> None:
        """Save the progress of a materialisation, unless more parts are saved already."""
        self._put(_progress_name(progress.snapshot), progress.parts, progress)

    def finish(self, progress: MaterialisationProgress) -> Freshness:
        """Saves that a snapshot is written completely; an older one leaves the stored freshness as it is."""
        freshness = Freshness(
            **progress.model_dump(exclude={"parts", "last"}),
            name=self._record.name,
            materialised_at=time.time(),
            entities=self._key_values.count(),
        )
        self._put(_FRESHNESS, freshness.snapshot, freshness)
        self._key_values.remove_metadata(_progress_name(progress.snapshot))
        return freshness

    def freshness(self) -> Freshness | None:
        """Reads which snapshot was last written completely, and when; None where none was."""
        stored = self._key_values.metadata(_FRESHNESS)
        return None if stored is None else Freshness.model_validate_json(stored)

    def erase(self, entity: EntityId) -> bool:
        """Removes the row of an entity at once; False where there was none."""
        return self._key_values.remove(entity_key(self.check(entity)))

    def clear(self) -> None:
        """Removes all entities of the project, and what was materialised when."""
        self._key_values.clear()
        self._layouts, self._next_ids_check = {}, float("-inf")

    def _put(self, name: str, rank: int, value: BaseModel) -> None:
        self._key_values.put_metadata(name, rank, value.model_dump_json().encode())

    def _layout(self, number: int) -> RowLayout:
        layout = self._layouts.get(number)
        if layout is None:
            stored = self._key_values.metadata(_layout_name(number))
            if stored is None:
                raise StorageError(
                    f"{self._key_values.where} holds rows whose layout is gone. Materialise the features again."
                )
            layout = self._layouts[number] = RowLayout.model_validate_json(stored)
        return layout


def online_store(settings: Settings, record: ViewRecord, project: str) -> OnlineStore:
    """Opens the store that the settings name; it connects when it is first used.

    Raises SettingsError for a URL that cannot be used, or whose client is not installed.
    """
    return OnlineStore(_key_value_store(settings, project), record)


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
            f"WINDLASS_ONLINE_URL cannot be used: {missing_extra(error) or error}. {_URL_ADVICE}"
        ) from error
    except ValueError:  # its message may hold the password
        raise SettingsError(
            f"WINDLASS_ONLINE_URL is not a URL of an online store. {_URL_ADVICE}"
        ) from None
    raise SettingsError(f"WINDLASS_ONLINE_URL names {scheme[:20]!r}. {_URL_ADVICE}")


def _guess_ids(entity: Any, record: ViewRecord) -> EntityIds:
    """Returns ids of the types that an entity has, for a store that was never filled completely."""
    columns = record.entity_columns
    values = entity if isinstance(entity, tuple | list) and len(columns) > 1 else [entity]
    types: list[IdType] = ["text" if isinstance(value, str) else "integer" for value in values]
    return EntityIds(columns, tuple(types))


def _layout_name(number: int) -> str:
    return f"layout {number}"


def _progress_name(snapshot: int) -> str:
    return f"progress {snapshot}"
