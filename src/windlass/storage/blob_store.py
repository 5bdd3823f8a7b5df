"""Folders of files by name, wherever they are kept: in the home folder, on a shared disk, in an object store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from windlass.settings import Settings


class BlobStore(Protocol):
    """Folders, each under a name with slashes (`models/loan/v1`), which hold files and no folders of files.

    Whoever writes owns the name: two writers of one name at once are kept apart by the caller. Safe to
    share between threads. Every method raises StorageError where the store fails or cannot be reached.
    """

    @property
    def is_local(self) -> bool:
        """Whether `local` leads to the files themselves."""
        ...

    def put(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Write these files of a folder under `name`, in this order, and have them last."""
        ...

    def move(self, name: str, to: str) -> None:
        """Have the folder `name` stand at `to`, replacing what is there; its manifest appears last."""
        ...

    def remove(self, name: str) -> None:
        """Remove a folder, its manifest first. One that is not there is removed already."""
        ...

    def folders(self, name: str) -> list[str]:
        """The names of the folders in the folder `name`, in order."""
        ...

    def read(self, name: str, file: str) -> bytes | None:
        """The content of a file in the folder `name`; None where it is not there."""
        ...

    def fetch(self, name: str, file: str, target: Path) -> bool:
        """Write a file of the folder `name` to `target`. False where it is not there."""
        ...

    def local(self, name: str) -> Path:
        """Where the folder `name` is, for a store that is local."""
        ...

    def where(self, name: str) -> str:
        """Where the folder `name` is, for people."""
        ...


def open_blob_store(settings: Settings) -> BlobStore:
    """The store that the settings name. Raises SettingsError for a URL that cannot be used."""
    if settings.store_url is None:
        from windlass.storage.local_store import LocalBlobStore

        return LocalBlobStore(settings.home)
    from windlass.storage.object_store import open_store

    return open_store(settings.store_url, plain_http=settings.store_http)
