"""Erasing an entity: out of every snapshot, out of quarantine, and for good.

Snapshots are immutable but for this: a part that holds the entity is replaced by one without it, at one stroke.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import polars as pl

from windlass.core.digest import sha256_file
from windlass.core.files import flush, remove_stale
from windlass.errors import FeatureError
from windlass.features.erased import ErasedEntities, numbers_in
from windlass.features.offline import REFUSED, OfflineStore, write_facts
from windlass.features.parts import bucket_of, part_name, write_part
from windlass.features.snapshot import (
    EVENTS,
    FILE,
    LATEST,
    QUARANTINE,
    STATES,
    Snapshot,
    digest_of,
)


@dataclass(frozen=True)
class Erased:
    """From where an entity was erased: how many events by the number of the snapshot, how many raw rows.

    `unreadable` are the folders of snapshots, and files, that could not be read: there it may still be.
    """

    snapshots: dict[int, int]
    quarantined: int
    unreadable: tuple[Path, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there was anything of it."""
        return bool(self.snapshots) or self.quarantined > 0


def erase(store: OfflineStore, entity: int) -> Erased:
    """Erase an entity from every snapshot and from quarantine, and see to it that no build brings it back.

    May be repeated: what was broken off is then completed. What cannot be read is passed over, and told. Raises
    FeatureError where another process writes, the disk cannot be written, or no entity has such a number.
    """
    if not -(2**63) <= entity < 2**63:
        raise FeatureError(f"{entity} is no id: it does not fit 64 bits. Look the number up.")
    with store.writing() as staging:
        ErasedEntities.read(store.folder).remember(store.folder, entity)
        eraser = _Eraser(entity, staging)
        snapshots = {}
        for folder in store.places():
            with eraser.passing_over(folder):
                snapshot = Snapshot.read(folder)
                events = eraser.events_of(snapshot)
                if events:
                    snapshots[snapshot.number] = events
                eraser.clean(snapshot)
                _correct(snapshot, entity)
        raw = [part for folder in store.places() for part in folder.glob(f"{QUARANTINE}/*.parquet")]
        quarantined = eraser.clean_raw([*raw, store.folder / REFUSED])
    return Erased(snapshots, quarantined, tuple(sorted(eraser.unreadable)))


def undo(store: OfflineStore, entity: int) -> bool:
    """Let builds hold an entity again that was erased; what was erased is not brought back by it.

    False where it was not erased here. Raises FeatureError where another process writes, or the disk refuses.
    """
    if not store.folder.is_dir():
        return False
    with store.writing():
        return ErasedEntities.read(store.folder).forget(store.folder, entity)


class _Eraser:
    """Replaces files by ones without an entity; what shares a file by hard links shares the new one."""

    def __init__(self, entity: int, staging: Path) -> None:
        self._entity = entity
        self._staging = staging
        self.unreadable: set[Path] = set()
        self._replaced: dict[int, Path | None] = {}  # by inode; None where nothing was to be erased
        self._names = count()

    @contextmanager
    def passing_over(self, *places: Path) -> Iterator[None]:
        """Go on where these cannot be read, and keep which they are."""
        try:
            yield
        except (FeatureError, FileNotFoundError, pl.exceptions.PolarsError):
            self.unreadable.update(places)

    def events_of(self, snapshot: Snapshot) -> int:
        """How many events of the entity a snapshot holds."""
        part = snapshot.folder / EVENTS / _part_name(snapshot, self._entity)
        found = pl.scan_parquet(part).filter(pl.col(snapshot.order[0]) == self._entity)
        return int(found.select(pl.len()).collect().item())

    def clean(self, snapshot: Snapshot) -> None:
        """Erase the entity from the events, states and latest of a snapshot."""
        for part in _parts_of(snapshot, self._entity):
            number = part.stat().st_ino
            if number not in self._replaced:
                frame = pl.read_parquet(part)
                kept = frame.filter(pl.col(snapshot.order[0]) != self._entity)
                self._replaced[number] = self._written(kept) if kept.height < frame.height else None
            self._exchange(part, self._replaced[number])

    def clean_raw(self, parts: list[Path]) -> int:
        """Erase quarantined rows that name the entity; how many there were."""
        groups = defaultdict(list)
        for part in parts:
            if part.exists():
                groups[part.stat().st_ino].append(part)
        return sum(self._clean_same(same) for same in groups.values())

    def _clean_same(self, parts: list[Path]) -> int:
        """Erase from quarantine parts that are one file."""
        erased = 0
        with self.passing_over(*(_place_of(part) for part in parts)):
            frame = pl.read_parquet(parts[0])
            kept = frame.filter([self._entity not in numbers_in(cell) for cell in frame["entity"]])
            erased = frame.height - kept.height
            if erased:
                made = self._written(kept)
                for part in parts:
                    self._exchange(part, made)
        return erased

    def _written(self, frame: pl.DataFrame) -> Path:
        made = self._staging / f"made-{next(self._names)}"
        write_part(frame, made)
        return made

    def _exchange(self, part: Path, made: Path | None) -> None:
        if made is None:
            return
        link = self._staging / "link"
        os.link(made, link)
        link.replace(part)
        flush(part.parent)


def _place_of(part: Path) -> Path:
    """The snapshot's folder that a quarantine part is of, or the part of a refused build."""
    return part.parent.parent if part.parent.name == QUARANTINE else part


def _part_name(snapshot: Snapshot, entity: int) -> str:
    return part_name(int(bucket_of(pl.Series([entity]), snapshot.buckets)[0]))


def _parts_of(snapshot: Snapshot, entity: int) -> list[Path]:
    name = _part_name(snapshot, entity)
    return [snapshot.folder / kind / name for kind in (EVENTS, STATES, LATEST)]


def _correct(snapshot: Snapshot, entity: int) -> None:
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
        "digest": digest_of(files),
        "entities": entities,
        "events": events,
        "newest": newest if isinstance(newest, date) else None,
        "erasures": (*snapshot.erasures, time.time()),
    }
    remove_stale(snapshot.folder / FILE)
    write_facts(snapshot.folder, snapshot.model_copy(update=update))
