"""Blob store in S3, Google Cloud Storage or Azure, through obstore.

Object stores cannot rename: a folder is moved by copying its files within the store, the manifest last, so
that a folder with a manifest is a whole one. Credentials come from the environment, in the variables of the
cloud's own tools.
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
READ_TIMEOUT = timedelta(seconds=15)  # for which a store may send nothing
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_CHUNK_BYTES = 4 << 20
_MAX_PARALLEL_PARTS = 4  # of a large file, so that each part gets through within the timeout
_URL_HELP = "Use s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER, or leave it out for the home folder."


class ObjectBlobStore:
    """Blob store below one URL of an object store."""

    is_local = False

    def __init__(self, store: "ObjectStore", url: str) -> None:
        self._store = store
        self._url = url.rstrip("/")

    def upload(self, folder: Path, names: Sequence[str], name: str) -> None:
        """Writes these files of a folder under `name`, in this order."""
        with self._translate_errors("written"):
            for file in names:
                self._store.put(
                    f"{name}/{file}", folder / file, max_concurrency=_MAX_PARALLEL_PARTS
                )

    def move(self, name: str, to: str) -> None:
        """Moves the folder `name` to `to` and replaces what is there; its manifest appears last."""
        self.remove(to)
        with self._translate_errors("written"):
            files = self._files(name)
            for file in sorted(files, key=lambda file: (file == MANIFEST, file)):
                self._store.copy(f"{name}/{file}", f"{to}/{file}")
        self.remove(name)

    def remove(self, name: str) -> None:
        """Removes a folder, its manifest first; a missing folder is not an error."""
        with self._translate_errors("changed"):
            files = self._files(name)
            if MANIFEST in files:
                self._store.delete(f"{name}/{MANIFEST}")
            files_without_manifest = [f"{name}/{file}" for file in files if file != MANIFEST]
            if files_without_manifest:
                self._store.delete(files_without_manifest)

    def folders(self, name: str) -> list[str]:
        """Returns the names of the folders in the folder `name`, sorted."""
        with self._translate_errors("read"):
            prefixes = self._store.list_with_delimiter(f"{name}/")["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes)

    def read(self, name: str, file: str) -> bytes | None:
        """Returns the content of a file in the folder `name`; None where it is missing."""
        with self._translate_errors("read"):
            try:
                return bytes(self._store.get(f"{name}/{file}").bytes())
            except FileNotFoundError:
                return None

    def download(self, name: str, file: str, target: Path) -> bool:
        """Writes a file of the folder `name` to `target`; returns False where it is missing."""
        with self._translate_errors("read"):
            try:
                content = self._store.get(f"{name}/{file}")
            except FileNotFoundError:
                return False
            with target.open("wb") as out:
                for block in content.stream(min_chunk_size=_CHUNK_BYTES):
                    out.write(block)
        return True

    def local_path(self, name: str) -> Path:
        """Raises NotImplementedError: an object store has no local folders."""
        raise NotImplementedError(f"{self.location(name)} is not on this machine")

    def location(self, name: str) -> str:
        """Returns where the folder `name` is, for people."""
        return f"{self._url}/{name}"

    def _files(self, name: str) -> list[str]:
        """Returns the names of the files in a folder."""
        start = len(name) + 1
        return [meta["path"][start:] for chunk in self._store.list(f"{name}/") for meta in chunk]

    @contextmanager
    def _translate_errors(self, operation: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(
                f"The bundle store {self._url} cannot be {operation}: {_plain_message(error)}. See that it is there"
                f" and that the credentials in the environment ({SCHEMES[urlsplit(self._url).scheme]}…) may do so."
            ) from error


def open_store(
    url: str, *, plain_http: bool, read_timeout: timedelta = READ_TIMEOUT
) -> ObjectBlobStore:
    """Opens the store at a URL, without a request. Raises SettingsError for a URL that cannot be used."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise SettingsError("WINDLASS_STORE_URL holds a key. Put it in the cloud's own variables.")
    if parts.scheme not in SCHEMES or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"WINDLASS_STORE_URL cannot be used. {_URL_HELP}")
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        store = from_url(
            url,
            client_options={
                "connect_timeout": timedelta(seconds=3),
                "read_timeout": read_timeout,
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
            f"WINDLASS_STORE_URL cannot be used: {_plain_message(error)}. {_URL_HELP}"
        ) from error
    return ObjectBlobStore(store, url)


def _plain_message(error: Exception) -> str:
    """Returns the message of an obstore error, without the store's XML and obstore's traces."""
    text = str(error).partition("Debug source")[0]
    match = _MESSAGE.search(text)
    message = " ".join((match[1] if match else text).split()).rstrip(".")[:300]
    if "builder error" in message and "http://" in message:
        return f"{message} (plain HTTP is spoken to this machine only, unless AWS_ALLOW_HTTP or its like is true)"
    return message
