"""Blob store on a disk.

Folders are flushed and then renamed into place, so that a crash leaves whole ones or none.
It does not use obstore, whose local store neither flushes nor moves a folder atomically.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from windlass.core.atomic_files import fsync_path, make_private_folder, translate_disk_errors
from windlass.errors import StorageError

_translate_disk_errors = partial(translate_disk_errors, StorageError, "The bundle store failed")


class LocalBlobStore:
    """Blob store below one folder of a disk."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def upload(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Writes these files of a folder under `name`, durably and in this order."""
        target = self._root / name
        with _translate_disk_errors(target):
            make_private_folder(target.parent)
            target.mkdir()
            for file in names:
                shutil.copyfile(folder / file, target / file)
                fsync_path(target / file)
            fsync_path(target)

    def move(self, name: str, to: str) -> None:
        """Moves the folder `name` to `to` atomically and replaces what is there."""
        source, target = self._root / name, self._root / to
        with _translate_disk_errors(target):
            make_private_folder(target.parent)
            if target.exists():
                shutil.rmtree(target)
            source.rename(target)
            fsync_path(target.parent)
            fsync_path(target.parent.parent)

    def remove(self, name: str) -> None:
        """Removes a folder; a missing folder is not an error."""
        target = self._root / name
        with _translate_disk_errors(target):
            if target.exists():
                shutil.rmtree(target)

    def folders(self, name: str) -> list[str]:
        """Returns the names of the folders in the folder `name`, sorted."""
        parent = self._root / name
        with _translate_disk_errors(parent):
            if not parent.is_dir():
                return []
            return sorted(child.name for child in parent.iterdir() if child.is_dir())

    def read(self, name: str, file: str) -> bytes | None:
        """Returns the content of a file in the folder `name`; None where it is missing."""
        path = self._root / name / file
        with _translate_disk_errors(path):
            return path.read_bytes() if path.is_file() else None

    def download(self, name: str, file: str, target: Path) -> bool:
        """Writes a file of the folder `name` to `target`; returns False where it is missing."""
        path = self._root / name / file
        with _translate_disk_errors(path):
            if not path.is_file():
                return False
            shutil.copyfile(path, target)
            return True

    def local_path(self, name: str) -> Path:
        """Returns the path of the folder `name`."""
        return self._root / name

    def location(self, name: str) -> str:
        """Returns where the folder `name` is, for people."""
        return str(self._root / name)
