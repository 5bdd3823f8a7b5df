"""Stores the bundles of versions at `models/PROJECT/vN`: staged first, verified on every open."""

import logging
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from pydantic import ValidationError

from windlass.core.atomic_files import is_process_alive
from windlass.core.bundle import MANIFEST, Bundle, Manifest, bundle_digest
from windlass.core.bundle_signature import SIGNATURE
from windlass.core.hashing import sha256
from windlass.errors import IntegrityError, RegistryError, StorageError
from windlass.registry.bundle_cache import BundleCache
from windlass.registry.version import Version, parse_version_number
from windlass.settings import Settings
from windlass.storage.blob_store import BlobStore, open_blob_store
from windlass.storage.urls import MODELS

INCOMING = "incoming"  # staged bundles, one folder each: HOST~PID_NAMESPACE~PID~SECONDS~RANDOM
ORPHANS = "orphans"  # complete bundles without a version, one folder each: PROJECT/vN~DIGEST
_DIGEST_LENGTH = 12  # characters of a digest in the name of an orphan
ABANDONED_SECONDS = 24 * 3600.0  # age at which another machine's staged bundle counts as abandoned

_log = logging.getLogger(__name__)


class BundleRepository:
    """Store of all projects' bundles.

    Only the registry writes: it holds the lock that numbers need.
    """

    def __init__(self, blobs: BlobStore, cache: BundleCache) -> None:
        self._blobs = blobs
        self._cache = cache

    @classmethod
    def from_settings(cls, settings: Settings) -> "BundleRepository":
        """Opens the blob store that the settings name; bundles of a remote store are cached in the home folder."""
        return cls(open_blob_store(settings), BundleCache(settings.home / "cache"))

    def stage(self, bundle: Bundle) -> str:
        """Copies a bundle to a staging folder, complete and verified, and returns its name there.

        Raises StorageError, IntegrityError where the bundle changed meanwhile.
        """
        name = f"{INCOMING}/{_process_namespace()}~{os.getpid()}~{int(time.time())}~{token_hex(8)}"
        try:
            signature = [SIGNATURE] if (bundle.path / SIGNATURE).is_file() else []
            files = [*bundle.manifest.files, *signature, MANIFEST]
            self._blobs.upload(bundle.path, files, name)
            if self._blobs.is_local:
                _open_verified(self._blobs.local_path(name), bundle.digest)
        except BaseException:
            with suppress(StorageError):  # the first error is the one to report
                self.discard(name)
            raise
        return name

    def publish(self, staged: str, project: str, number: int) -> None:
        """Moves a staged bundle to the folder of a version; another bundle there moves to the orphans."""
        name = _blob_name(project, number)
        if self._blobs.read(name, MANIFEST) != self._blobs.read(staged, MANIFEST):
            self.move_to_orphans(project, number)
        self._blobs.move(staged, name)

    def move_to_orphans(self, project: str, number: int) -> None:
        """Clears the folder of a number that no version has; a crash or an older database leaves one.

        A complete bundle moves to the orphans; an incomplete one is removed.
        """
        name = _blob_name(project, number)
        manifest = self._blobs.read(name, MANIFEST)
        if manifest is None:
            self._blobs.remove(name)
            return
        orphan = f"{ORPHANS}/{project}/v{number}~{_manifest_digest(manifest)[:_DIGEST_LENGTH]}"
        self._blobs.move(name, orphan)
        _log.warning(
            "unregistered bundle moved to orphans",
            extra={"version": f"v{number}", "folder": self._blobs.location(orphan)},
        )

    def remove_registered_orphans(self, project: str, digests: Iterable[str]) -> None:
        """Removes the orphans that were registered since; `digests` are those of the project's versions."""
        registered = {digest[:_DIGEST_LENGTH] for digest in digests}
        for name in self._blobs.folders(f"{ORPHANS}/{project}"):
            if name.partition("~")[2] in registered:
                self._blobs.remove(f"{ORPHANS}/{project}/{name}")

    def discard(self, staged: str) -> None:
        """Removes a staged bundle."""
        self._blobs.remove(staged)

    def open(self, version: Version) -> Bundle:
        """Opens a version's bundle and verifies every file. Raises RegistryError, IntegrityError, StorageError."""
        if version.pruned_at is not None:
            raise RegistryError(
                f"The bundle of {version.project} {version.name} was removed by `windlass prune`. Train it again."
            )
        try:
            bundle = self._open_verified_copy(version)
        except IntegrityError as error:
            raise IntegrityError(
                f"The bundle of {version.project} {version.name} at {self.location(version)} is not the one that the"
                f" registry knows: {error}"
            ) from error
        return replace(bundle, registered_version=version.name)

    def _open_verified_copy(self, version: Version) -> Bundle:
        if not self._blobs.is_local:
            return self._cache.open(version.digest, lambda folder: self._fetch(version, folder))
        folder = self._blobs.local_path(_blob_name(version.project, version.number))
        if not (folder / MANIFEST).is_file():
            raise self._missing(version)
        return _open_verified(folder, version.digest)

    def _fetch(self, version: Version, folder: Path) -> None:
        """Downloads the files of a version's manifest to a folder."""
        name = _blob_name(version.project, version.number)
        if not self._blobs.download(name, MANIFEST, folder / MANIFEST):
            raise self._missing(version)
        for file in [*_manifest_files(folder), SIGNATURE]:
            self._blobs.download(name, file, folder / file)

    def _missing(self, version: Version) -> StorageError:
        return StorageError(
            f"The bundle of {version.project} {version.name} is not at {self.location(version)}."
            " Restore it, or train it again."
        )

    def location(self, version: Version) -> str:
        """Returns where a version's bundle is, for people."""
        return self._blobs.location(_blob_name(version.project, version.number))

    def version_numbers(self, project: str) -> set[int]:
        """Returns the numbers that have a folder, complete or not."""
        numbers = set()
        for name in self._blobs.folders(f"{MODELS}/{project}"):
            with suppress(RegistryError):  # a folder of somebody else's
                numbers.add(parse_version_number(name))
        return numbers

    def remove(self, project: str, number: int) -> None:
        """Removes the folder of a number."""
        self._blobs.remove(_blob_name(project, number))

    def delete(self, version: Version) -> None:
        """Removes a version's bundle from the store and from this machine's cache."""
        self.remove(version.project, version.number)
        if not self._blobs.is_local:
            self._cache.remove(version.digest)

    def sweep(self) -> None:
        """Removes staged bundles of crashed registrations: this machine's at once, others after a day."""
        for name in self._blobs.folders(INCOMING):
            if _is_abandoned(name):
                self._blobs.remove(f"{INCOMING}/{name}")
        if not self._blobs.is_local:
            self._cache.sweep()


def _blob_name(project: str, number: int) -> str:
    return f"{MODELS}/{project}/v{number}"


def _manifest_digest(manifest: bytes) -> str:
    try:
        return bundle_digest(manifest)
    except ValueError:  # nobody can open that bundle, and it needs a name all the same
        return sha256(manifest)


def _manifest_files(folder: Path) -> list[str]:
    """Returns the files that a manifest names, without names that would lead out of the folder."""
    try:
        files = Manifest.model_validate_json((folder / MANIFEST).read_bytes()).files
    except ValidationError:
        return []  # Bundle.open says what is wrong with it
    return [file for file in files if Path(file).name == file and file != MANIFEST]


def _open_verified(folder: Path, digest: str) -> Bundle:
    try:
        bundle = Bundle.open(folder)
    except OSError as error:
        raise StorageError(f"Cannot read the bundle at {folder}: {error.strerror}.") from error
    if bundle.digest != digest:
        raise IntegrityError(
            f"its digest is {bundle.digest[:12]} instead of {digest[:12]}. Restore the bundle, or train it again."
        )
    return bundle


def _process_namespace() -> str:
    """Returns this machine's name and PID namespace: two containers may share a host name."""
    space = Path("/proc/self/ns/pid")
    number = space.stat().st_ino if space.exists() else 0
    host = "".join(
        c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname()
    )[:100]
    return f"{host}~{number}"


def _is_abandoned(name: str) -> bool:
    parts = name.split("~")
    if len(parts) != 5 or not (parts[2].isdecimal() and parts[3].isdecimal()):
        return False  # somebody else's
    host, space, pid, since, _ = parts
    if time.time() - int(since) > ABANDONED_SECONDS:
        return True
    return f"{host}~{space}" == _process_namespace() and not is_process_alive(int(pid))
