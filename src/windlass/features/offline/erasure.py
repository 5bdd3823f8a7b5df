"""Erasing an entity: out of every snapshot, out of quarantine, and for good.

Snapshots are immutable but for this: a part that holds the entity is replaced by one without it, at one stroke.
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

from windlass.core.atomic_files import fsync_path, remove_stale_files, temporary_prefix
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
    """The entities that were erased from one offline store, as hashes."""

    def __init__(self, salt: str, hashes: frozenset[str]) -> None:
        self._salt = salt
        self._hashes = hashes

    @classmethod
    def read(cls, folder: Path) -> "ErasedEntities":
        """Those remembered in a folder; none where nothing is. Raises FeatureError where it cannot be read."""
        file = folder / _FILE
        try:
            kept = json.loads(file.read_bytes())
            bytes.fromhex(kept["salt"])
            return cls(kept["salt"], frozenset(kept["hashes"]))
        except FileNotFoundError:
            return cls(token_hex(16), frozenset())
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(
                f"{file} does not tell who was erased. Restore it from a copy, or remove it and erase them again."
            ) from error

    @classmethod
    def of(cls, snapshot: Path) -> "ErasedEntities":
        """Those of the offline store that the folder of a snapshot lies in. Raises FeatureError as `read` does."""
        return cls.read(snapshot.parent.parent)

    def add(self, folder: Path, entity: int) -> None:
        """Have the folder remember one more, until it is forgotten."""
        self._save(folder, self._hashes | {self._hash(entity)})

    def discard(self, folder: Path, entity: int) -> bool:
        """Have the folder remember one no more. False where it is not one of them."""
        if self._hash(entity) not in self._hashes:
            return False
        self._save(folder, self._hashes - {self._hash(entity)})
        return True

    def _save(self, folder: Path, hashes: frozenset[str]) -> None:
        remove_stale_files(folder / _FILE)
        part = folder / f"{temporary_prefix(folder / _FILE)}part"
        part.write_bytes(pretty_json({"salt": self._salt, "hashes": sorted(hashes)}))
        fsync_path(part)
        part.replace(folder / _FILE)
        fsync_path(folder)

    def erased_in(self, entities: pl.Series) -> list[int]:
        """Those of the entities that were erased."""
        if not self._hashes:
            return []
        return [one for one in entities.unique().to_list() if self._hash(one) in self._hashes]

    def mentioned_in(self, text: str | None) -> bool:
        """Whether a raw cell names one that was erased, be it written amiss."""
        return bool(self._hashes) and any(
            self._hash(one) in self._hashes for one in numbers_in(text)
        )

    def _hash(self, entity: int) -> str:
        return blake2b(
            str(entity).encode(), key=bytes.fromhex(self._salt), digest_size=16
        ).hexdigest()


def numbers_in(text: str | None) -> Iterable[int]:
    """The whole numbers in a raw cell: `0012`, `12.0`, `1.2e1`, `1 2` and `12x` all may mean 12."""
    found = {int(one) for one in _NUMBER.findall(text or "")} | _whole_number(text or "")
    return {number for one in found for number in (one, abs(one))}


def _whole_number(text: str) -> set[int]:
    """The number that a cell is as a whole, with spaces and exponent; none where it is no whole number."""
    try:
        value = float("".join(text.split()))
    except ValueError:
        return set()
    return {int(value)} if abs(value) <= _MAX_EXACT and value.is_integer() else set()


@dataclass(frozen=True)
class ErasureReport:
    """From where an entity was erased: how many events by the number of the snapshot, how many raw rows.

    `unreadable` are the folders of snapshots, and files, that could not be read: there it may still be.
    """

    snapshots: dict[int, int]
    quarantined: int
    unreadable: tuple[Path, ...] = ()

    @property
    def found_any(self) -> bool:
        """Whether there was anything of it."""
        return bool(self.snapshots) or self.quarantined > 0


def erase(store: OfflineStore, entity: int) -> ErasureReport:
    """Erase an entity from every snapshot and from quarantine, and see to it that no build brings it back.

    May be repeated: what was broken off is then completed. What cannot be read is passed over, and told. Raises
    FeatureError where another process writes, the disk cannot be written, or no entity has such a number.
    """
    if not -(2**63) <= entity < 2**63:
        raise FeatureError(f"{entity} is no id: it does not fit 64 bits. Look the number up.")
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
    """Let builds hold an entity again that was erased; what was erased is not brought back by it.

    False where it was not erased here. Raises FeatureError where another process writes, or the disk refuses.
    """
    if not store.folder.is_dir():
        return False
    with store.write_lock():
        return ErasedEntities.read(store.folder).discard(store.folder, entity)


class _Eraser:
    """Replaces files by ones without an entity; what shares a file by hard links shares the new one."""

    def __init__(self, entity: int, staging: Path) -> None:
        self._entity = entity
        self._staging = staging
        self.unreadable: set[Path] = set()
        self._replaced: dict[int, Path | None] = {}  # by inode; None where nothing was to be erased
        self._names = count()

    @contextmanager
    def skip_unreadable(self, *snapshot_folders: Path) -> Iterator[None]:
        """Go on where these cannot be read, and keep which they are."""
        try:
            yield
        except (FeatureError, FileNotFoundError, pl.exceptions.PolarsError):
            self.unreadable.update(snapshot_folders)

    def events_of(self, snapshot: Snapshot) -> int:
        """How many events of the entity a snapshot holds."""
        part = snapshot.folder / EVENTS / _part_name(snapshot, self._entity)
        found = pl.scan_parquet(part).filter(pl.col(snapshot.order[0]) == self._entity)
        return int(found.select(pl.len()).collect().item())

    def erase_from_snapshot(self, snapshot: Snapshot) -> None:
        """Erase the entity from the events, states and latest of a snapshot."""
        for part in _parts_of(snapshot, self._entity):
            number = part.stat().st_ino
            if number not in self._replaced:
                frame = pl.read_parquet(part)
                kept = frame.filter(pl.col(snapshot.order[0]) != self._entity)
                self._replaced[number] = self._write(kept) if kept.height < frame.height else None
            self._replace(part, self._replaced[number])

    def erase_from_quarantine(self, parts: list[Path]) -> int:
        """Erase quarantined rows that name the entity; how many there were."""
        groups = defaultdict(list)
        for part in parts:
            if part.exists():
                groups[part.stat().st_ino].append(part)
        return sum(self._erase_from_file(same) for same in groups.values())

    def _erase_from_file(self, parts: list[Path]) -> int:
        """Erase from quarantine parts that are one file."""
        erased = 0
        with self.skip_unreadable(*(_quarantine_owner(part) for part in parts)):
            frame = pl.read_parquet(parts[0])
            kept = frame.filter([self._entity not in numbers_in(cell) for cell in frame["entity"]])
            erased = frame.height - kept.height
            if erased:
                made = self._write(kept)
                for part in parts:
                    self._replace(part, made)
        return erased

    def _write(self, frame: pl.DataFrame) -> Path:
        made = self._staging / f"made-{next(self._names)}"
        write_part(frame, made)
        return made

    def _replace(self, part: Path, made: Path | None) -> None:
        if made is None:
            return
        link = self._staging / "link"
        os.link(made, link)
        link.replace(part)
        fsync_path(part.parent)


def _quarantine_owner(part: Path) -> Path:
    """The snapshot's folder that a quarantine part is of, or the part of a refused build."""
    return part.parent.parent if part.parent.name == QUARANTINE else part


def _part_name(snapshot: Snapshot, entity: int) -> str:
    return part_name(int(bucket_of(pl.Series([entity]), snapshot.buckets)[0]))


def _parts_of(snapshot: Snapshot, entity: int) -> list[Path]:
    name = _part_name(snapshot, entity)
    return [snapshot.folder / kind / name for kind in (EVENTS, STATES, LATEST)]


def _update_metadata(snapshot: Snapshot, entity: int) -> None:
    """Have `snapshot.json` tell what the parts hold now, and that an erasure happened."""
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
