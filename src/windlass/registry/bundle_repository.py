"""Where the bundles of versions are: `models/PROJECT/vN`, written aside first, verified on every open."""

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
from windlass.core.hashing import sha256
from windlass.errors import IntegrityError, RegistryError, StorageError
from windlass.registry.bundle_cache import BundleCache
from windlass.registry.version import Version, number_of
from windlass.settings import Settings
from windlass.storage.blob_store import BlobStore, open_blob_store

INCOMING = "incoming"  # what is being registered, one folder each: HOST~SPACE~PID~SECONDS~RANDOM
MODELS = "models"
ORPHANS = "orphans"  # whole bundles that no version had, one folder each: PROJECT/vN~DIGEST
_SHORT = 12  # characters of a digest in the name of an orphan
ABANDONED = 24 * 3600.0  # seconds after which a stranger's registration is taken for dead

_log = logging.getLogger(__name__)


class BundleRepository:
    """The bundles of all projects. Only the registry writes: it has the lock that numbers need."""

    def __init__(self, blobs: BlobStore, cache: BundleCache) -> None:
        self._blobs = blobs
        self._cache = cache

    @classmethod
    def of(cls, settings: Settings) -> "BundleRepository":
        """The store that the settings name; what comes from afar is kept in the home folder as well."""
        return cls(open_blob_store(settings), BundleCache(settings.home / "cache"))

    def receive(self, bundle: Bundle) -> str:
        """Write a bundle aside, whole and verified, and return the name it has until it is placed.

        Raises StorageError, IntegrityError where the bundle changed meanwhile.
        """
        name = f"{INCOMING}/{_here()}~{os.getpid()}~{int(time.time())}~{token_hex(8)}"
        try:
            self._blobs.put(bundle.path, [*bundle.manifest.files, MANIFEST], name)
            if self._blobs.is_local:
                _open(self._blobs.local(name), bundle.digest)
        except BaseException:
            with suppress(StorageError):  # the first error is the one to tell
                self.discard(name)
            raise
        return name

    def place(self, incoming: str, project: str, number: int) -> None:
        """Make what was received the bundle of a version. Whatever else is there is set aside."""
        name = _name(project, number)
        if self._blobs.read(name, MANIFEST) != self._blobs.read(incoming, MANIFEST):
            self.set_aside(project, number)
        self._blobs.move(incoming, name)

    def set_aside(self, project: str, number: int) -> None:
        """Take away the folder of a number that no version has, as a crash or an older database leaves one.

        A whole bundle is kept among the orphans; parts of one are removed.
        """
        name = _name(project, number)
        manifest = self._blobs.read(name, MANIFEST)
        if manifest is None:
            self._blobs.remove(name)
            return
        aside = f"{ORPHANS}/{project}/v{number}~{_digest(manifest)[:_SHORT]}"
        self._blobs.move(name, aside)
        _log.warning(
            "bundle without a version set aside",
            extra={"version": f"v{number}", "folder": self._blobs.where(aside)},
        )

    def reclaim(self, project: str, digests: Iterable[str]) -> None:
        """Remove the orphans that became versions after all; `digests` are those of the project's versions."""
        known = {digest[:_SHORT] for digest in digests}
        for name in self._blobs.folders(f"{ORPHANS}/{project}"):
            if name.partition("~")[2] in known:
                self._blobs.remove(f"{ORPHANS}/{project}/{name}")

    def discard(self, incoming: str) -> None:
        """Remove what was received."""
        self._blobs.remove(incoming)

    def open(self, version: Version) -> Bundle:
        """A version's bundle, every file verified. Raises RegistryError, IntegrityError, StorageError."""
        if version.pruned_at is not None:
            raise RegistryError(
                f"The bundle of {version.project} {version.name} was removed by `windlass prune`. Train it again."
            )
        try:
            bundle = self._opened(version)
        except IntegrityError as error:
            raise IntegrityError(
                f"The bundle of {version.project} {version.name} at {self.where(version)} is not the one that the"
                f" registry knows: {error}"
            ) from error
        return replace(bundle, registered_version=version.name)

    def _opened(self, version: Version) -> Bundle:
        if not self._blobs.is_local:
            return self._cache.open(version.digest, lambda folder: self._fetch(version, folder))
        folder = self._blobs.local(_name(version.project, version.number))
        if not (folder / MANIFEST).is_file():
            raise self._missing(version)
        return _open(folder, version.digest)

    def _fetch(self, version: Version, folder: Path) -> None:
        """Write a version's files to a folder, as its manifest names them."""
        name = _name(version.project, version.number)
        if not self._blobs.fetch(name, MANIFEST, folder / MANIFEST):
            raise self._missing(version)
        for file in _named(folder):
            self._blobs.fetch(name, file, folder / file)

    def _missing(self, version: Version) -> StorageError:
        return StorageError(
            f"The bundle of {version.project} {version.name} is not at {self.where(version)}."
            " Restore it, or train it again."
        )

    def where(self, version: Version) -> str:
        """Where a version's bundle is, for people."""
        return self._blobs.where(_name(version.project, version.number))

    def numbers(self, project: str) -> set[int]:
        """Of which numbers there are folders, whole or not."""
        found = set()
        for name in self._blobs.folders(f"{MODELS}/{project}"):
            with suppress(RegistryError):  # a folder of somebody else's
                found.add(number_of(name))
        return found

    def remove(self, project: str, number: int) -> None:
        """Remove the folder of a number."""
        self._blobs.remove(_name(project, number))

    def forget(self, version: Version) -> None:
        """Remove a version's bundle, here and in the store."""
        self.remove(version.project, version.number)
        if not self._blobs.is_local:
            self._cache.forget(version.digest)

    def sweep(self) -> None:
        """Remove what registrations left that died: those of this machine at once, others after a day."""
        for name in self._blobs.folders(INCOMING):
            if _is_dead(name):
                self._blobs.remove(f"{INCOMING}/{name}")
        if not self._blobs.is_local:
            self._cache.sweep()


def _name(project: str, number: int) -> str:
    return f"{MODELS}/{project}/v{number}"


def _digest(manifest: bytes) -> str:
    try:
        return bundle_digest(manifest)
    except ValueError:  # nobody can open that bundle, and it needs a name all the same
        return sha256(manifest)


def _named(folder: Path) -> list[str]:
    """The files that a manifest names; none that would lead out of the folder."""
    try:
        files = Manifest.model_validate_json((folder / MANIFEST).read_bytes()).files
    except ValidationError:
        return []  # Bundle.open says what is wrong with it
    return [file for file in files if Path(file).name == file and file != MANIFEST]


def _open(folder: Path, digest: str) -> Bundle:
    try:
        bundle = Bundle.open(folder)
    except OSError as error:
        raise StorageError(f"Cannot read the bundle at {folder}: {error.strerror}.") from error
    if bundle.digest != digest:
        raise IntegrityError(
            f"its digest is {bundle.digest[:12]} instead of {digest[:12]}. Restore the bundle, or train it again."
        )
    return bundle


def _here() -> str:
    """This machine, and which numbering of processes: two containers may have one name."""
    space = Path("/proc/self/ns/pid")
    number = space.stat().st_ino if space.exists() else 0
    host = "".join(
        c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname()
    )[:100]
    return f"{host}~{number}"


def _is_dead(name: str) -> bool:
    parts = name.split("~")
    if len(parts) != 5 or not (parts[2].isdecimal() and parts[3].isdecimal()):
        return False  # somebody else's
    host, space, pid, since, _ = parts
    if time.time() - int(since) > ABANDONED:
        return True
    return f"{host}~{space}" == _here() and not is_process_alive(int(pid))
