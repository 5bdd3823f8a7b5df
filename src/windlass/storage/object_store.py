"""Folders in an object store, through obstore: S3, Google Cloud Storage, Azure.

There is no renaming: a folder is moved by copying its files within the store, the manifest last, so
that a folder with a manifest is a whole one. Credentials come from the environment, as the cloud's own
tools take them.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from windlass.core.bundle import MANIFEST
from windlass.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
SILENCE = timedelta(seconds=15)  # that a store may keep before it is given up
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_BLOCK = 4 << 20
_PARTS_AT_ONCE = 4  # of a large file: at a time, so that each gets through before it is given up
_FORM = "Use s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER, or leave it out for the home folder."


class ObjectBlobStore:
    """Blobs below one address of an object store."""

    is_local = False

    def __init__(self, store: "ObjectStore", url: str) -> None:
        self._store = store
        self._url = url.rstrip("/")

    def put(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Write these files of a folder under `name`, in this order."""
        with self._told("written"):
            for file in names:
                self._store.put(f"{name}/{file}", folder / file, max_concurrency=_PARTS_AT_ONCE)

    def move(self, name: str, to: str) -> None:
        """Have the folder `name` stand at `to`, replacing what is there; its manifest appears last."""
        self.remove(to)
        with self._told("written"):
            files = self._files(name)
            for file in sorted(files, key=lambda file: (file == MANIFEST, file)):
                self._store.copy(f"{name}/{file}", f"{to}/{file}")
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a folder, its manifest first."""
        with self._told("changed"):
            files = self._files(name)
            if MANIFEST in files:
                self._store.delete(f"{name}/{MANIFEST}")
            others = [f"{name}/{file}" for file in files if file != MANIFEST]
            if others:
                self._store.delete(others)

    def folders(self, name: str) -> list[str]:
        """The names of the folders in the folder `name`, in order."""
        with self._told("read"):
            found = self._store.list_with_delimiter(f"{name}/")["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found)

    def read(self, name: str, file: str) -> bytes | None:
        """The content of a file in the folder `name`; None where it is not there."""
        with self._told("read"):
            try:
                return bytes(self._store.get(f"{name}/{file}").bytes())
            except FileNotFoundError:
                return None

    def fetch(self, name: str, file: str, target: Path) -> bool:
        """Write a file of the folder `name` to `target`. False where it is not there."""
        with self._told("read"):
            try:
                content = self._store.get(f"{name}/{file}")
            except FileNotFoundError:
                return False
            with target.open("wb") as out:
                for block in content.stream(min_chunk_size=_BLOCK):
                    out.write(block)
        return True

    def local(self, name: str) -> Path:
        """Not of this store."""
        raise NotImplementedError(f"{self.where(name)} is not on this machine")

    def where(self, name: str) -> str:
        """Where the folder `name` is, for people."""
        return f"{self._url}/{name}"

    def _files(self, name: str) -> list[str]:
        """The names of the files in a folder."""
        start = len(name) + 1
        return [found["path"][start:] for chunk in self._store.list(f"{name}/") for found in chunk]

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(
                f"The bundle store {self._url} cannot be {done}: {_plain(error)}. See that it is there and that"
                f" the credentials in the environment ({SCHEMES[urlsplit(self._url).scheme]}…) may do so."
            ) from error


def open_store(url: str, *, plain_http: bool) -> ObjectBlobStore:
    """The store at a URL; nothing is asked of it yet. Raises SettingsError for a URL that cannot be used."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise SettingsError("WINDLASS_STORE_URL holds a key. Put it in the cloud's own variables.")
    if parts.scheme not in SCHEMES or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"WINDLASS_STORE_URL cannot be used. {_FORM}")
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        store = from_url(
            url,
            client_options={
                "connect_timeout": timedelta(seconds=3),
                "read_timeout": SILENCE,
                "timeout": timedelta(hours=1),  # of a whole file, however large
                "allow_http": plain_http,
            },
            retry_config={
                "max_retries": 2,
                "retry_timeout": timedelta(seconds=10),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError) as error:
        raise SettingsError(
            f"WINDLASS_STORE_URL cannot be used: {_plain(error)}. {_FORM}"
        ) from error
    return ObjectBlobStore(store, url)


def _plain(error: Exception) -> str:
    """What an error of obstore says, without the store's XML and the traces of its own."""
    text = str(error).partition("Debug source")[0]
    said = _MESSAGE.search(text)
    told = " ".join((said[1] if said else text).split()).rstrip(".")[:300]
    if "builder error" in told and "http://" in told:
        return f"{told} (plain HTTP is spoken to this machine only, unless AWS_ALLOW_HTTP or its like is true)"
    return told
