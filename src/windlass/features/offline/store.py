"""The offline store of a project: numbered snapshots, and a link that names the current one.

HOME/features/PROJECT/snapshots/000001/…, `current` → snapshots/000001. A snapshot is written under another name
beside its place, flushed and renamed; then the link is exchanged. So a crash leaves the old one or the new one.
Where the link is lost or names nothing, the newest whole snapshot counts as the current one, and nothing is removed.
"""

import fcntl
import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from windlass.core.atomic_files import fsync_path, temporary_prefix
from windlass.core.hashing import pretty_json
from windlass.errors import FeatureError
from windlass.features.io_errors import translate_disk_errors
from windlass.features.offline.snapshot import SNAPSHOT_FILE, Snapshot
from windlass.settings import Settings


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the only right to write below `folder`. Raises FeatureError where another process has it."""
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
    """The snapshots below one folder. Any number of processes may read while one writes."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.project = project

    @classmethod
    def of(cls, settings: Settings, project: str) -> "OfflineStore":
        """The offline store of a project, below the settings' home."""
        return cls(settings.home.absolute() / "features" / project, project)

    def snapshot(self, number: int | None = None) -> Snapshot:
        """The snapshot of this number, or the current one. Raises FeatureError where there is none."""
        newest = self._current_number()
        if newest is None:
            raise FeatureError(
                f"Project {self.project} has no features yet. Run `windlass features build {self.project}`."
            )
        wanted = newest if number is None else number
        folder = self._snapshot_folder(wanted)
        if wanted > newest or not folder.is_dir():
            raise FeatureError(
                f"Project {self.project} has no snapshot {wanted}; the newest is {newest}."
                " See `windlass features snapshots`."
            )
        return Snapshot.read(folder)

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot that is kept, the newest first."""
        newest = self._current_number() or 0
        snapshot_folders = [place for place in self.snapshot_folders() if int(place.name) <= newest]
        return [
            snapshot
            for place in snapshot_folders
            if (snapshot := _read_unless_pruned(place)) is not None
        ]

    def snapshot_folders(self) -> list[Path]:
        """The folder of every snapshot on the disk, whole or not, the newest first."""
        return [self._snapshot_folder(number) for number in sorted(self._numbers(), reverse=True)]

    def current(self) -> Snapshot | None:
        """The current snapshot, None before the first build."""
        return None if self._current_number() is None else self.snapshot()

    @contextmanager
    def write_lock(self) -> Iterator[Path]:
        """Be the only writer, with an empty folder to work in, on the same disk, removed afterwards.

        What killed writers left is removed first. Raises FeatureError where another process writes, or
        where the disk is full or cannot be written.
        """
        with translate_disk_errors(self.folder):
            (self.folder / _SNAPSHOTS).mkdir(parents=True, exist_ok=True)
            with lock_folder(self.folder):
                self._remove_leftovers()
                staging = self.folder / _STAGING
                staging.mkdir()
                try:
                    yield staging
                finally:
                    shutil.rmtree(staging, ignore_errors=True)

    def publish(self, folder: Path, snapshot: Snapshot) -> Snapshot:
        """Make a folder of flushed parts the snapshot of the next number, and the current one; for the writer."""
        place = self._snapshot_folder(snapshot.number)
        write_metadata(folder, snapshot)
        for child in [*(child for child in folder.iterdir() if child.is_dir()), folder]:
            fsync_path(child)
        folder.rename(place)
        fsync_path(place.parent)
        self._set_current(snapshot.number)
        return snapshot.model_copy(update={"folder": place})

    def detach(self, number: int, staging: Path) -> Path:
        """Have a snapshot be no more, at one stroke; where its folder is now, to be removed by the writer."""
        place = self._snapshot_folder(number)
        taken = place.rename(staging / place.name)
        fsync_path(place.parent)
        return taken

    def next_number(self) -> int:
        """The number of the snapshot that the writer is to publish."""
        return max(self._numbers(), default=0) + 1

    def _current_number(self) -> int | None:
        """The number that counts as the current one's, None where there is no whole snapshot."""
        named = self._linked_number()
        if named is not None:
            return named
        for number in sorted(self._numbers(), reverse=True):
            with suppress(FeatureError):
                Snapshot.read(self._snapshot_folder(number))
                _log.warning(
                    "%s names no snapshot. The newest whole one, %d, counts as the current. If another should, run"
                    " `ln -sfn %s current` in %s.",
                    *(self.folder / _CURRENT, number, self._link_target(number), self.folder),
                )
                return number
        return None

    def _linked_number(self) -> int | None:
        """The number that the link names, None where it names no snapshot that is there."""
        try:
            name = (self.folder / _CURRENT).readlink().name
        except OSError:
            return None
        return int(name) if name.isdecimal() and self._snapshot_folder(int(name)).is_dir() else None

    def _set_current(self, number: int) -> None:
        link = self.folder / f"{temporary_prefix(self.folder / _CURRENT)}link"
        link.symlink_to(self._link_target(number), target_is_directory=True)
        link.replace(self.folder / _CURRENT)
        fsync_path(self.folder)

    def _numbers(self) -> list[int]:
        place = self.folder / _SNAPSHOTS
        return [int(child.name) for child in place.glob("[0-9]*") if child.name.isdecimal()]

    def _snapshot_folder(self, number: int) -> Path:
        return self.folder / _SNAPSHOTS / f"{number:06}"

    def _link_target(self, number: int) -> Path:
        return Path(_SNAPSHOTS) / self._snapshot_folder(number).name

    def _remove_leftovers(self) -> None:
        """Remove what a killed writer left: its work, and a snapshot that was never made the current one.

        A link that names no snapshot is mended first, and then no snapshot is removed. Raises FeatureError
        where it is no link.
        """
        shutil.rmtree(self.folder / _STAGING, ignore_errors=True)
        for leftover in self.folder.glob(f".{_CURRENT}.*"):
            leftover.unlink()
        named, newest = self._linked_number(), self._current_number()
        if named is None:
            self._check_link(newest)
            if newest is not None:
                self._set_current(newest)
            return
        for number in self._numbers():
            if number > named:
                shutil.rmtree(self._snapshot_folder(number))

    def _check_link(self, newest: int | None) -> None:
        current = self.folder / _CURRENT
        if current.is_symlink() or not current.exists():
            return
        then = (
            ""
            if newest is None
            else f", then run `ln -sfn {self._link_target(newest)} current` in {self.folder}"
        )
        raise FeatureError(
            f"{current} is no link, as a copy that follows links leaves it. Move it away{then}."
        )


def _read_unless_pruned(place: Path) -> Snapshot | None:
    """The snapshot in a folder, None where it was pruned meanwhile."""
    try:
        return Snapshot.read(place)
    except FeatureError:
        if place.is_dir():
            raise
        return None


def write_metadata(folder: Path, snapshot: Snapshot) -> None:
    """Write `snapshot.json` whole or not at all, in the place of an earlier one."""
    part = folder / f"{temporary_prefix(folder / SNAPSHOT_FILE)}part"
    part.write_bytes(pretty_json(snapshot.model_dump(mode="json")))
    fsync_path(part)
    part.replace(folder / SNAPSHOT_FILE)
    fsync_path(folder)


def prune(store: OfflineStore, keep: int, needed: Collection[int]) -> list[int]:
    """Remove the snapshots older than the `keep` newest whole ones; the numbers of those that went, newest first.

    Never the current one, nor one whose number is `needed`. Killed at any moment, a snapshot is there whole, or gone,
    and the next writer clears up. Raises FeatureError where there is no whole current snapshot, where another
    process writes, or the disk cannot be written.
    """
    if keep < 0:
        raise FeatureError(f"One cannot keep {keep} snapshots. Use 0 or more.")
    store.snapshot()
    with store.write_lock() as staging:
        current = store.snapshot().number
        oldest = min([current, *list(_readable_numbers(store))[:keep]])
        numbers = [int(place.name) for place in store.snapshot_folders()]
        gone = [number for number in numbers if number < oldest and number not in needed]
        for number in gone:
            shutil.rmtree(store.detach(number, staging))
    return gone


def _readable_numbers(store: OfflineStore) -> Iterator[int]:
    """The numbers of the snapshots that can be read, newest first."""
    for place in store.snapshot_folders():
        with suppress(FeatureError):
            yield Snapshot.read(place).number
