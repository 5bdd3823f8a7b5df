"""Folders on a disk: flushed, and put in place by renaming, so that a crash leaves whole ones or none.

Not through obstore: its local store neither flushes nor moves a folder at one stroke.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from windlass.core.atomic_files import disk_advice, fsync_path
from windlass.errors import StorageError


class LocalBlobStore:
    """Blobs below one folder."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Write these files of a folder under `name`, in this order, and have them last."""
        target = self._root / name
        with _told(target):
            target.mkdir(parents=True)
            for file in names:
                shutil.copyfile(folder / file, target / file)
                fsync_path(target / file)
            fsync_path(target)

    def move(self, name: str, to: str) -> None:
        """Have the folder `name` stand at `to` at one stroke, replacing what is there."""
        source, target = self._root / name, self._root / to
        with _told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.rmtree(target)
            source.rename(target)
            fsync_path(target.parent)
            fsync_path(target.parent.parent)

    def remove(self, name: str) -> None:
        """Remove a folder. One that is not there is removed already."""
        target = self._root / name
        with _told(target):
            if target.exists():
                shutil.rmtree(target)

    def folders(self, name: str) -> list[str]:
        """The names of the folders in the folder `name`, in order."""
        place = self._root / name
        with _told(place):
            if not place.is_dir():
                return []
            return sorted(child.name for child in place.iterdir() if child.is_dir())

    def read(self, name: str, file: str) -> bytes | None:
        """The content of a file in the folder `name`; None where it is not there."""
        path = self._root / name / file
        with _told(path):
            return path.read_bytes() if path.is_file() else None

    def fetch(self, name: str, file: str, target: Path) -> bool:
        """Write a file of the folder `name` to `target`. False where it is not there."""
        path = self._root / name / file
        with _told(path):
            if not path.is_file():
                return False
            shutil.copyfile(path, target)
            return True

    def local(self, name: str) -> Path:
        """Where the folder `name` is."""
        return self._root / name

    def where(self, name: str) -> str:
        """Where the folder `name` is, for people."""
        return str(self._root / name)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The bundle store failed at {error.filename or path}: {error.strerror or error}. {disk_advice(error)}"
        ) from error
