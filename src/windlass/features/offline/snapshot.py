"""Reads and verifies a snapshot: an immutable folder with all events and states of a project at a time."""

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from windlass.core.entity_ids import EntityIds, IdType
from windlass.core.hashing import canonical_json, sha256, sha256_file
from windlass.errors import FeatureError

SNAPSHOT_FILE = "snapshot.json"
EVENTS, STATES, LATEST, QUARANTINE = "events", "states", "latest", "quarantine"
COMPUTED_AT = "computed_at"  # a column of `latest`: when a state was computed, seconds since 1970
RECENT_EVENTS = "recent_events"  # a list in `latest`: the events that features of windows may count
BEFORE_EVENT = "before_event"  # a struct in `latest`: what was stored before the latest event


class Snapshot(BaseModel):
    """Numbered snapshot, as its `snapshot.json` describes it. `folder` is where it was read from.

    `view` is the version of the view that computed it, `created` seconds since 1970. `recomputed` counts the
    entities whose states were computed for it; the others' come from `parent`. `digest` follows from the files of
    events and states, whose SHA-256 are in `files`. `order` names the columns of the entity, timestamp and event id,
    `entity_types` the types of the entity's.
    `quality` is the report on the raw file; `erasures` says when entities were erased, and not which.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    view: str
    created: float
    events: int
    entities: int
    recomputed: int
    buckets: int = Field(ge=1)
    digest: str
    newest: date | None
    parent: int | None
    quality: dict[str, Any]
    order: tuple[str, ...]
    entity_types: tuple[IdType, ...] = ("integer",)
    files: dict[str, str]
    erasures: tuple[float, ...] = ()
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def entity_ids(self) -> EntityIds:
        """The columns that identify an entity, and their types."""
        return EntityIds(self.order[:-2], self.entity_types)

    @classmethod
    def read(cls, folder: Path) -> "Snapshot":
        """Reads the snapshot in a folder that is named by its number. Raises FeatureError where it is not complete."""
        try:
            snapshot = cls.model_validate_json((folder / SNAPSHOT_FILE).read_bytes())
        except (OSError, ValidationError) as error:
            raise _incomplete(folder) from error
        if snapshot.number != int(folder.name):
            raise _incomplete(folder)
        return snapshot.model_copy(update={"folder": folder})

    def verified_parts(self, kind: str, names: Collection[str] | None = None) -> list[Path]:
        """Returns the parts of a kind (events, states, latest), or those of these names, after checking their SHA-256.

        Raises FeatureError where one was changed, is missing, or is one too many.
        """
        parts = [part for part in _parts(self.folder / kind) if names is None or part.name in names]
        digests = {f"{kind}/{part.name}": _digest(part) for part in parts}
        files = Snapshot.read(self.folder).files  # read again: an erasure may have changed it
        expected = {
            name: digest
            for name, digest in files.items()
            if name.startswith(f"{kind}/") and (names is None or name.partition("/")[2] in names)
        }
        wrong = sorted(
            name for name in digests | expected if digests.get(name) != expected.get(name)
        )
        if wrong:
            raise FeatureError(
                f"{self.folder / wrong[0]} is not as snapshot {self.number} was built. If an erasure runs or was broken"
                " off, run it again; otherwise build again from all rows: `windlass features build`."
            )
        return parts

    def event_parts(self) -> list[Path]:
        """The raw rows that passed, each once, by entity, time and event id; a part for each bucket."""
        return _parts(self.folder / EVENTS)

    def state_parts(self) -> list[Path]:
        """The state after each event, row by row beside `event_parts`."""
        return _parts(self.folder / STATES)

    def latest_parts(self) -> list[Path]:
        """The newest state of each entity, its `computed_at` (seconds since 1970), and the columns `before_event`."""
        return _parts(self.folder / LATEST)

    def quarantine_parts(self) -> list[Path]:
        """The raw rows that did not pass, with the reasons: a part for each build that this one rests on."""
        return _parts(self.folder / QUARANTINE)


def content_digest(files: dict[str, str]) -> str:
    """Returns the digest of events and states, without the time when they were computed."""
    content = {name: digest for name, digest in files.items() if not name.startswith(LATEST)}
    return sha256(canonical_json(content))


def _incomplete(folder: Path) -> FeatureError:
    if not folder.is_dir():
        return FeatureError(
            f"{folder} is gone: `windlass features prune` removes old snapshots. `windlass features snapshots`"
            " lists those there are."
        )
    return FeatureError(
        f"{folder} is not a complete snapshot. Remove the folder, or build again with `windlass features build`."
    )


def _digest(part: Path) -> str | None:
    try:
        return sha256_file(part)
    except FileNotFoundError:  # of a snapshot that is pruned
        return None


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
