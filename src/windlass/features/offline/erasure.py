"""Erases an entity from every snapshot and from quarantine, and keeps later builds from storing it again.

Snapshots are immutable but for this: a part that holds the entity is replaced atomically by one without it.
"""

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from itertools import count, islice, product
from pathlib import Path
from secrets import token_hex

import polars as pl

from windlass.core.atomic_files import fsync_path, remove_stale_files, replace_file
from windlass.core.entity_ids import EntityId, EntityKey, entity_key, parse_uuid
from windlass.core.hashing import pretty_json, sha256_file
from windlass.errors import FeatureError, IdError
from windlass.features.offline.parts import (
    bucket_of,
    entity_keys,
    part_name,
    rows_of,
    rows_without,
    write_part,
)
from windlass.features.offline.snapshot import (
    EVENTS,
    LATEST,
    QUARANTINE,
    SNAPSHOT_FILE,
    STATES,
    Snapshot,
    content_digest,
)
from windlass.features.offline.store import REJECTED, OfflineStore, write_metadata

_FILE = "erased.json"
_NUMBER = re.compile(r"-?(?<!\d)\d{1,20}(?!\d)")  # no id of 64 bits has more digits
_MAX_EXACT = 2**53  # up to here a float is one whole number and no other


class ErasedEntities:
    """Salted hashes of the entities that were erased from one offline store, in its `erased.json`."""

    def __init__(self, salt: str, hashes: frozenset[str]) -> None:
        self._salt = salt
        self._hashes = hashes

    @classmethod
    def read(cls, folder: Path) -> "ErasedEntities":
        """Reads the file in a folder; empty where there is none. Raises FeatureError where it cannot be read."""
        file = folder / _FILE
        try:
            content = json.loads(file.read_bytes())
            bytes.fromhex(content["salt"])
            return cls(content["salt"], frozenset(content["hashes"]))
        except FileNotFoundError:
            return cls(token_hex(16), frozenset())
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(
                f"{file} cannot be read, and it names who was erased. Restore a copy, or remove it and erase"
                " them again."
            ) from error

    @classmethod
    def of_snapshot(cls, folder: Path) -> "ErasedEntities":
        """Reads those of the offline store that a snapshot's folder lies in. Raises FeatureError as `read` does."""
        return cls.read(folder.parent.parent)

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def add(self, folder: Path, entity: EntityId) -> None:
        """Write an entity's hash to the file in `folder`."""
        self._save(folder, self._hashes | {self._hash(entity_key(entity))})

    def discard(self, folder: Path, entity: EntityId) -> bool:
        """Remove an entity's hash from the file in `folder`; False where it was not there."""
        if self._hash(entity_key(entity)) not in self._hashes:
            return False
        self._save(folder, self._hashes - {self._hash(entity_key(entity))})
        return True

    def _save(self, folder: Path, hashes: frozenset[str]) -> None:
        remove_stale_files(folder / _FILE)
        content = pretty_json({"salt": self._salt, "hashes": sorted(hashes)})
        replace_file(folder / _FILE, content)

    def erased_in(self, entities: pl.DataFrame) -> pl.DataFrame:
        """Returns those of the entities, each as its columns, that were erased."""
        if not self._hashes:
            return entities.clear()
        different = entities.unique(maintain_order=True)
        erased = [self._hash(key) in self._hashes for key in entity_keys(different)]
        return different.filter(pl.Series(erased, dtype=pl.Boolean))

    def mentioned_in(self, cells: Sequence[str | None]) -> bool:
        """Returns whether the raw cells of an entity's columns name an erased one, also in another notation."""
        if not self._hashes:
            return False
        meant = [numbers_in(cell) | texts_in(cell) for cell in cells]
        entities = islice(product(*meant), _MAX_READINGS)
        return any(
            self._hash(entity_key(each if len(each) > 1 else each[0])) in self._hashes
            for each in entities
        )

    def _hash(self, key: EntityKey) -> str:
        return blake2b(str(key).encode(), key=bytes.fromhex(self._salt), digest_size=16).hexdigest()


_MAX_READINGS = 10_000  # of the cells of one row
_SEPARATORS = re.compile(r"[\s,;|\"']+")
_UUID = re.compile(
    r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}"
)


def texts_in(text: str | None) -> set[str]:
    """Returns the texts that a raw cell may mean: all of it, its words, and UUIDs in their canonical form."""
    if text is None:
        return set()
    uuids = (parse_uuid(match.group()) for match in _UUID.finditer(text))
    texts = {text, text.strip(), *_SEPARATORS.split(text), *(uuid for uuid in uuids if uuid)}
    return texts - {""}


def may_mean(cells: Sequence[str | None], entity: EntityId) -> bool:
    """Returns whether the raw cells of an entity's columns may mean an entity, also in another notation."""
    values = entity if isinstance(entity, tuple) else (entity,)
    return len(cells) == len(values) and all(
        value in (numbers_in(cell) if isinstance(value, int) else texts_in(cell))
        for cell, value in zip(cells, values, strict=True)
    )


def join_cells(cells: Sequence[str | None]) -> str | None:
    """Returns the raw cells of an entity's columns as one text: of several, a JSON array."""
    return cells[0] if len(cells) == 1 else json.dumps(cells, ensure_ascii=False)


def _split_cells(text: str | None, columns: int) -> Sequence[str | None]:
    """Returns the cells that `join_cells` joined."""
    if columns == 1 or text is None:
        return [text] * columns
    with suppress(ValueError):
        cells = json.loads(text)
        if isinstance(cells, list):
            return cells
    return [text] * columns  # written by a view with another entity


def numbers_in(text: str | None) -> set[int]:
    """Returns the whole numbers that a raw cell may mean: `0012`, `12.0`, `1.2e1`, `1 2` and `12x` all may mean 12."""
    numbers = {int(digits) for digits in _NUMBER.findall(text or "")} | _whole_number(text or "")
    return numbers | {abs(number) for number in numbers}


def _whole_number(text: str) -> set[int]:
    """Returns the whole number that a cell is, with spaces or an exponent; an empty set where it is none."""
    try:
        value = float("".join(text.split()))
    except ValueError:
        return set()
    return {int(value)} if abs(value) <= _MAX_EXACT and value.is_integer() else set()


@dataclass(frozen=True)
class ErasureReport:
    """Report of an erasure: events erased, by the number of the snapshot, and raw rows in quarantine.

    `unreadable` are the folders of snapshots, and files, that could not be read: the entity may still be in them.
    """

    snapshots: dict[int, int]
    quarantined: int
    unreadable: tuple[Path, ...] = ()

    @property
    def found_any(self) -> bool:
        """Whether the entity was found anywhere."""
        return bool(self.snapshots) or self.quarantined > 0


def erase(store: OfflineStore, entity: EntityId) -> ErasureReport:
    """Erases an entity from every snapshot and from quarantine; later builds leave it out.

    Repeat it to complete an interrupted erasure. What cannot be read is skipped, and reported. Raises
    FeatureError where another process writes, or the disk cannot be written; IdError for an id of another
    type than the current snapshot's.
    """
    current = store.current_entity_ids()
    if current is not None:
        entity = current.check(entity)
    with store.write_lock() as staging:
        ErasedEntities.read(store.folder).add(store.folder, entity)
        eraser = _Eraser(entity, staging)
        snapshots = {}
        for folder in store.snapshot_folders():
            with eraser.skip_unreadable(folder):
                snapshot = Snapshot.read(folder)
                events = eraser.events_of(snapshot)
                if events:
                    snapshots[snapshot.number] = events
                eraser.erase_from_snapshot(snapshot)
                _update_metadata(snapshot, entity)
        raw = [
            part
            for folder in store.snapshot_folders()
            for part in folder.glob(f"{QUARANTINE}/*.parquet")
        ]
        quarantined = eraser.erase_from_quarantine([*raw, store.folder / REJECTED])
    return ErasureReport(snapshots, quarantined, tuple(sorted(eraser.unreadable)))


def undo_erasure(store: OfflineStore, entity: EntityId) -> bool:
    """Allows later builds to store an erased entity again; nothing that was erased comes back.

    Returns False where it was not erased here. Raises FeatureError where another process writes, or the disk cannot
    be written.
    """
    if not store.folder.is_dir():
        return False
    with store.write_lock():
        return ErasedEntities.read(store.folder).discard(store.folder, entity)


class _Eraser:
    """Replaces files by ones without an entity; parts that are hard links to one file share the new one."""

    def __init__(self, entity: EntityId, staging: Path) -> None:
        self._entity = entity
        self._columns = len(entity) if isinstance(entity, tuple) else 1
        self._staging = staging
        self.unreadable: set[Path] = set()
        self._replaced: dict[int, Path | None] = {}  # by inode; None where nothing was to be erased
        self._names = count()

    @contextmanager
    def skip_unreadable(self, *paths: Path) -> Iterator[None]:
        """Goes on where these paths cannot be read, and records them as unreadable."""
        try:
            yield
        except (FeatureError, FileNotFoundError, pl.exceptions.PolarsError):
            self.unreadable.update(paths)

    def events_of(self, snapshot: Snapshot) -> int:
        """Counts the events of the entity in a snapshot."""
        entity = _as_frame(snapshot, self._entity)
        if entity is None:
            return 0
        part = snapshot.folder / EVENTS / _part_name(snapshot, entity)
        return rows_of(pl.read_parquet(part, columns=entity.columns), entity).height

    def erase_from_snapshot(self, snapshot: Snapshot) -> None:
        """Erase the entity from the events, states and latest of a snapshot."""
        entity = _as_frame(snapshot, self._entity)
        if entity is None:
            return
        for part in _parts_of(snapshot, entity):
            inode = part.stat().st_ino
            if inode not in self._replaced:
                frame = pl.read_parquet(part)
                remaining = rows_without(frame, entity)
                self._replaced[inode] = (
                    self._write(remaining) if remaining.height < frame.height else None
                )
            self._replace(part, self._replaced[inode])

    def erase_from_quarantine(self, parts: list[Path]) -> int:
        """Erases quarantined rows that name the entity; returns their number."""
        groups = defaultdict(list)
        for part in parts:
            if part.exists():
                groups[part.stat().st_ino].append(part)
        return sum(self._erase_from_file(same) for same in groups.values())

    def _erase_from_file(self, parts: list[Path]) -> int:
        """Erases from quarantine parts that are hard links to one file."""
        erased = 0
        with self.skip_unreadable(*(_quarantine_owner(part) for part in parts)):
            frame = pl.read_parquet(parts[0])
            remaining = frame.filter(
                [
                    not may_mean(_split_cells(text, self._columns), self._entity)
                    for text in frame["entity"]
                ]
            )
            erased = frame.height - remaining.height
            if erased:
                replacement = self._write(remaining)
                for part in parts:
                    self._replace(part, replacement)
        return erased

    def _write(self, frame: pl.DataFrame) -> Path:
        part = self._staging / f"replacement-{next(self._names)}"
        write_part(frame, part)
        return part

    def _replace(self, part: Path, replacement: Path | None) -> None:
        if replacement is None:
            return
        hard_link = self._staging / "link"
        os.link(replacement, hard_link)
        hard_link.replace(part)
        fsync_path(part.parent)


def _quarantine_owner(part: Path) -> Path:
    """Returns the folder of a quarantine part's snapshot; of a rejected build, the part itself."""
    return part.parent.parent if part.parent.name == QUARANTINE else part


def _as_frame(snapshot: Snapshot, entity: EntityId) -> pl.DataFrame | None:
    """Returns an entity as a row of its columns; None where entities of the snapshot have other types."""
    try:
        checked = snapshot.entity_ids.check(entity)
    except IdError:
        return None
    return pl.DataFrame([snapshot.entity_ids.fields(checked)])


def _part_name(snapshot: Snapshot, entity: pl.DataFrame) -> str:
    return part_name(int(bucket_of(entity, snapshot.buckets)[0]))


def _parts_of(snapshot: Snapshot, entity: pl.DataFrame) -> list[Path]:
    name = _part_name(snapshot, entity)
    return [snapshot.folder / kind / name for kind in (EVENTS, STATES, LATEST)]


def _update_metadata(snapshot: Snapshot, erased: EntityId) -> None:
    """Write the parts' new digests and counts to `snapshot.json`, and the time of the erasure."""
    entity = _as_frame(snapshot, erased)
    if entity is None:
        return
    now = {
        f"{part.parent.name}/{part.name}": sha256_file(part) for part in _parts_of(snapshot, entity)
    }
    files = snapshot.files | now
    if files == snapshot.files:
        return
    latest = pl.scan_parquet(snapshot.latest_parts(), glob=False)
    entities, newest = (
        latest.select(pl.len(), pl.col(snapshot.order[-2]).max().cast(pl.Date)).collect().row(0)
    )
    events = pl.scan_parquet(snapshot.event_parts(), glob=False).select(pl.len()).collect().item()
    update = {
        "files": files,
        "digest": content_digest(files),
        "entities": entities,
        "events": events,
        "newest": newest if isinstance(newest, date) else None,
        "erasures": (*snapshot.erasures, time.time()),
    }
    remove_stale_files(snapshot.folder / SNAPSHOT_FILE)
    write_metadata(snapshot.folder, snapshot.model_copy(update=update))
