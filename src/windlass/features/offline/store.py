"""Stores a project's features: numbered snapshots, and a link that names the current one.

HOME/features/PROJECT/snapshots/000001/…, `current` → snapshots/000001. A snapshot is written under a temporary name,
flushed and renamed; then the link is replaced. So a crash leaves the old one or the new one. Where the link is lost or
names nothing, the newest complete snapshot counts as the current one, and nothing is removed.
"""

import fcntl
import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from windlass.core.atomic_files import (
    fsync_path,
    make_private_folder,
    replace_file,
    temporary_prefix,
    translate_disk_errors,
)
from windlass.core.deprecation import warn_renamed
from windlass.core.entity_ids import EntityIds
from windlass.core.hashing import pretty_json
from windlass.errors import FeatureError, counted
from windlass.features.offline.snapshot import SNAPSHOT_FILE, Snapshot
from windlass.settings import Settings


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Locks a folder for one writer. Raises FeatureError where another process holds the lock."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FeatureError(
                f"Another process is writing features in {folder}. Try again when it has ended."
            ) from error
        yield


_log = logging.getLogger(__name__)

REJECTED = "refused.parquet"  # the quarantine of the last build that quality stopped
_CURRENT, _SNAPSHOTS, _STAGING = "current", "snapshots", ".staging"


class OfflineStore:
    """Snapshots of one project below one folder: any number of processes may read while one writes."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.project = project

    @classmethod
    def from_settings(cls, settings: Settings, project: str) -> "OfflineStore":
        """Opens the offline store of a project, below the settings' home."""
        return cls(settings.home.absolute() / "features" / project, project)

    @classmethod
    def of(cls, settings: Settings, project: str) -> "OfflineStore":
        """The old name of `from_settings`."""
        warn_renamed("OfflineStore.of", "OfflineStore.from_settings", stacklevel=2)
        return cls.from_settings(settings, project)

    def snapshot(self, number: int | None = None) -> Snapshot:
        """Reads the snapshot of this number, or the current one. Raises FeatureError where there is none."""
        current = self._current_number()
        if current is None:
            raise FeatureError(
                f"Project {self.project} has no features yet. Run `windlass features build {self.project}`."
            )
        number = current if number is None else number
        folder = self._snapshot_folder(number)
        if number > current or not folder.is_dir():
            raise FeatureError(
                f"Project {self.project} has no snapshot {number}; the newest is {current}."
                " See `windlass features snapshots`."
            )
        return Snapshot.read(folder)

    def snapshots(self) -> list[Snapshot]:
        """Reads every stored snapshot, the newest first."""
        newest = self._current_number() or 0
        folders = [folder for folder in self.snapshot_folders() if int(folder.name) <= newest]
        return [snapshot for folder in folders if (snapshot := _read_unless_pruned(folder))]

    def snapshot_folders(self) -> list[Path]:
        """The folder of every snapshot on the disk, complete or not, the newest first."""
        return [self._snapshot_folder(number) for number in sorted(self._numbers(), reverse=True)]

    def current(self) -> Snapshot | None:
        """Reads the current snapshot; None before the first build."""
        return None if self._current_number() is None else self.snapshot()

    def current_entity_ids(self) -> EntityIds | None:
        """Returns what ids the entities of the current snapshot have; None where there is no complete snapshot."""
        with suppress(FeatureError):
            current = self.current()
            return None if current is None else current.entity_ids
        return None

    @contextmanager
    def write_lock(self) -> Iterator[Path]:
        """Locks the store for one writer, and gives it an empty staging folder on the same disk.

        What killed writers left is removed first, the staging folder at the end. Raises FeatureError where
        another process writes, or where the disk is full or cannot be written.
        """
        with translate_disk_errors(FeatureError, "Features cannot be written", self.folder):
            make_private_folder(self.folder / _SNAPSHOTS)
            with lock_folder(self.folder):
                self._remove_leftovers()
                staging = self.folder / _STAGING
                staging.mkdir()
                try:
                    yield staging
                finally:
                    shutil.rmtree(staging, ignore_errors=True)

    def publish(self, folder: Path, snapshot: Snapshot) -> Snapshot:
        """Publish a folder of flushed parts as the current snapshot, within `write_lock`."""
        target = self._snapshot_folder(snapshot.number)
        write_metadata(folder, snapshot)
        for child in [*(child for child in folder.iterdir() if child.is_dir()), folder]:
            fsync_path(child)
        folder.rename(target)
        fsync_path(target.parent)
        self._set_current(snapshot.number)
        return snapshot.model_copy(update={"folder": target})

    def detach(self, number: int, staging: Path) -> Path:
        """Move a snapshot into the staging folder atomically; returns its new folder, for the caller to remove."""
        folder = self._snapshot_folder(number)
        detached = folder.rename(staging / folder.name)
        fsync_path(folder.parent)
        return detached

    def next_number(self) -> int:
        """The number of the next snapshot to publish."""
        return max(self._numbers(), default=0) + 1

    def _current_number(self) -> int | None:
        """The number of the current snapshot; None where there is no complete one."""
        linked = self._linked_number()
        if linked is not None:
            return linked
        for number in sorted(self._numbers(), reverse=True):
            with suppress(FeatureError):
                Snapshot.read(self._snapshot_folder(number))
                _log.warning(
                    "%s names no snapshot. The newest complete one, %d, counts as the current. If another should, run"
                    " `ln -sfn %s current` in %s.",
                    *(self.folder / _CURRENT, number, self._link_target(number), self.folder),
                )
                return number
        return None

    def _linked_number(self) -> int | None:
        """The number that the link names; None where it names no stored snapshot."""
        try:
            name = (self.folder / _CURRENT).readlink().name
        except OSError:
            return None
        return int(name) if name.isdecimal() and self._snapshot_folder(int(name)).is_dir() else None

    def _set_current(self, number: int) -> None:
        new_link = self.folder / f"{temporary_prefix(self.folder / _CURRENT)}link"
        new_link.symlink_to(self._link_target(number), target_is_directory=True)
        new_link.replace(self.folder / _CURRENT)
        fsync_path(self.folder)

    def _numbers(self) -> list[int]:
        folder = self.folder / _SNAPSHOTS
        return [int(child.name) for child in folder.glob("[0-9]*") if child.name.isdecimal()]

    def _snapshot_folder(self, number: int) -> Path:
        return self.folder / _SNAPSHOTS / f"{number:06}"

    def _link_target(self, number: int) -> Path:
        return Path(_SNAPSHOTS) / self._snapshot_folder(number).name

    def _remove_leftovers(self) -> None:
        """Remove what a killed writer left: staged files, and snapshots newer than the current one.

        A link that names no snapshot is repaired instead, and then no snapshot is removed. Raises FeatureError
        where `current` is not a link.
        """
        shutil.rmtree(self.folder / _STAGING, ignore_errors=True)
        for leftover in self.folder.glob(f".{_CURRENT}.*"):
            leftover.unlink()
        linked, current = self._linked_number(), self._current_number()
        if linked is None:
            self._check_link(current)
            if current is not None:
                self._set_current(current)
            return
        for number in self._numbers():
            if number > linked:
                shutil.rmtree(self._snapshot_folder(number))

    def _check_link(self, number: int | None) -> None:
        current = self.folder / _CURRENT
        if current.is_symlink() or not current.exists():
            return
        then = (
            ""
            if number is None
            else f", then run `ln -sfn {self._link_target(number)} current` in {self.folder}"
        )
        raise FeatureError(
            f"{current} is not a link: a copy that follows links turns it into a folder. Move it elsewhere{then}."
        )


def _read_unless_pruned(folder: Path) -> Snapshot | None:
    """Reads the snapshot in a folder; None where it was pruned meanwhile."""
    try:
        return Snapshot.read(folder)
    except FeatureError:
        if folder.is_dir():
            raise
        return None


def write_metadata(folder: Path, snapshot: Snapshot) -> None:
    """Write `snapshot.json` atomically; an existing one is replaced."""
    replace_file(folder / SNAPSHOT_FILE, pretty_json(snapshot.model_dump(mode="json")))


def prune(store: OfflineStore, keep: int, needed: Collection[int]) -> list[int]:
    """Removes the snapshots older than the `keep` newest complete ones; returns their numbers, newest first.

    Never the current one, nor one whose number is `needed`. When it is killed, each snapshot is complete or gone, and
    the next writer removes what is left. Raises FeatureError where there is no complete current snapshot, where
    another process writes, or the disk cannot be written.
    """
    if keep < 0:
        raise FeatureError(f"Cannot keep {counted(keep, 'snapshot')}. Use 0 or more.")
    store.snapshot()
    with store.write_lock() as staging:
        current = store.snapshot().number
        oldest = min([current, *list(_readable_numbers(store))[:keep]])
        numbers = [int(folder.name) for folder in store.snapshot_folders()]
        removed = [number for number in numbers if number < oldest and number not in needed]
        for number in removed:
            shutil.rmtree(store.detach(number, staging))
    return removed


def _readable_numbers(store: OfflineStore) -> Iterator[int]:
    """Yields the numbers of the snapshots that can be read, newest first."""
    for folder in store.snapshot_folders():
        with suppress(FeatureError):
            yield Snapshot.read(folder).number
