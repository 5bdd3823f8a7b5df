"""The interface of blob stores: folders of files by name, on a disk or in an object store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from windlass.settings import Settings


class BlobStore(Protocol):
    """Store of flat folders of files, each under a name with slashes such as `models/loan/v1`.

    The caller keeps two writers of one name apart. Safe to share between threads. Every method raises
    StorageError where the store fails or cannot be reached.
    """

    @property
    def is_local(self) -> bool:
        """Whether `local_path` leads to the files themselves."""

    def upload(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Writes these files of a folder under `name`, durably and in this order."""

    def move(self, name: str, to: str) -> None:
        """Moves the folder `name` to `to` and replaces what is there; its manifest appears last."""

    def remove(self, name: str) -> None:
        """Removes a folder, its manifest first; a missing folder is not an error."""

    def folders(self, name: str) -> list[str]:
        """Returns the names of the folders in the folder `name`, sorted."""

    def read(self, name: str, file: str) -> bytes | None:
        """Returns the content of a file in the folder `name`; None where it is missing."""

    def download(self, name: str, file: str, target: Path) -> bool:
        """Writes a file of the folder `name` to `target`; returns False where it is missing."""

    def local_path(self, name: str) -> Path:
        """Returns the path of the folder `name`; only for a store that `is_local`."""

    def location(self, name: str) -> str:
        """Returns where the folder `name` is, for people: a path or a URL."""


def open_blob_store(settings: Settings) -> BlobStore:
    """Opens the store that the settings name. Raises SettingsError for a URL that cannot be used."""
    if settings.store_url is None:
        from windlass.storage.local_store import LocalBlobStore

        return LocalBlobStore(settings.home)
    from windlass.storage.object_store import open_store

    return open_store(settings.store_url, plain_http=settings.store_http)
