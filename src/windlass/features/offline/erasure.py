"""Erases an entity from every snapshot and from quarantine, and keeps later builds from storing it again.

Snapshots are immutable but for this: a part that holds the entity is replaced atomically by one without it.
"""

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from itertools import count
from pathlib import Path
from secrets import token_hex

import polars as pl

from windlass.core.atomic_files import fsync_path, remove_stale_files, replace_file
from windlass.core.hashing import pretty_json, sha256_file
from windlass.errors import FeatureError
from windlass.features.offline.parts import bucket_of, part_name, write_part
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

    def add(self, folder: Path, entity: int) -> None:
        """Write an entity's hash to the file in `folder`."""
        self._save(folder, self._hashes | {self._hash(entity)})

    def discard(self, folder: Path, entity: int) -> bool:
        """Remove an entity's hash from the file in `folder`; False where it was not there."""
        if self._hash(entity) not in self._hashes:
            return False
        self._save(folder, self._hashes - {self._hash(entity)})
        return True

    def _save(self, folder: Path, hashes: frozenset[str]) -> None:
        remove_stale_files(folder / _FILE)
        content = pretty_json({"salt": self._salt, "hashes": sorted(hashes)})
        replace_file(folder / _FILE, content)

    def erased_in(self, entities: pl.Series) -> list[int]:
        """Returns those of the entities that were erased."""
        if not self._hashes:
            return []
        return [
            entity for entity in entities.unique().to_list() if self._hash(entity) in self._hashes
        ]

    def mentioned_in(self, text: str | None) -> bool:
        """Returns whether a raw cell names an erased entity, also in another notation (see `numbers_in`)."""
        return bool(self._hashes) and any(
            self._hash(number) in self._hashes for number in numbers_in(text)
        )

    def _hash(self, entity: int) -> str:
        return blake2b(
            str(entity).encode(), key=bytes.fromhex(self._salt), digest_size=16
        ).hexdigest()


def numbers_in(text: str | None) -> Iterable[int]:
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


def erase(store: OfflineStore, entity: int) -> ErasureReport:
    """Erases an entity from every snapshot and from quarantine; later builds leave it out.

    Repeat it to complete an interrupted erasure. What cannot be read is skipped, and reported. Raises
    FeatureError where another process writes, the disk cannot be written, or `entity` is not a 64-bit integer.
    """
    if not -(2**63) <= entity < 2**63:
        raise FeatureError(f"{entity} is not an id: it does not fit 64 bits. Look the number up.")
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


def undo_erasure(store: OfflineStore, entity: int) -> bool:
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

    def __init__(self, entity: int, staging: Path) -> None:
        self._entity = entity
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
        part = snapshot.folder / EVENTS / _part_name(snapshot, self._entity)
        events = pl.scan_parquet(part).filter(pl.col(snapshot.order[0]) == self._entity)
        return int(events.select(pl.len()).collect().item())

    def erase_from_snapshot(self, snapshot: Snapshot) -> None:
        """Erase the entity from the events, states and latest of a snapshot."""
        for part in _parts_of(snapshot, self._entity):
            inode = part.stat().st_ino
            if inode not in self._replaced:
                frame = pl.read_parquet(part)
                remaining = frame.filter(pl.col(snapshot.order[0]) != self._entity)
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
                [self._entity not in numbers_in(cell) for cell in frame["entity"]]
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


def _part_name(snapshot: Snapshot, entity: int) -> str:
    return part_name(int(bucket_of(pl.Series([entity]), snapshot.buckets)[0]))


def _parts_of(snapshot: Snapshot, entity: int) -> list[Path]:
    name = _part_name(snapshot, entity)
    return [snapshot.folder / kind / name for kind in (EVENTS, STATES, LATEST)]


def _update_metadata(snapshot: Snapshot, entity: int) -> None:
    """Write the parts' new digests and counts to `snapshot.json`, and the time of the erasure."""
    now = {
        f"{part.parent.name}/{part.name}": sha256_file(part) for part in _parts_of(snapshot, entity)
    }
    files = snapshot.files | now
    if files == snapshot.files:
        return
    latest = pl.scan_parquet(snapshot.latest_parts(), glob=False)
    entities, newest = latest.select(pl.len(), pl.col(snapshot.order[1]).max()).collect().row(0)
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
