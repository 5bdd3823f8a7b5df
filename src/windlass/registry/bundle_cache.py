"""Caches bundles of a remote store on this machine, by digest; verifies them on every open."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from windlass.core.atomic_files import (
    make_private_folder,
    remove_stale_files,
    temporary_prefix,
    translate_disk_errors,
)
from windlass.core.bundle import Bundle
from windlass.errors import BundleError, IntegrityError, StorageError

MAX_UNUSED_SECONDS = 30 * 24 * 3600.0  # a cached bundle that nobody opened for longer is removed

_translate_disk_errors = partial(translate_disk_errors, StorageError, "The bundle cache failed")


class BundleCache:
    """Cache of bundles in one folder; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def open(self, digest: str, fetch: Callable[[Path], None]) -> Bundle:
        """Opens the bundle of this digest; downloads it by `fetch(folder)` where it is missing or damaged.

        Raises IntegrityError where the download is another bundle, StorageError.
        """
        target = self._folder / digest
        with _translate_disk_errors(target):
            if target.exists():
                bundle = self._open_cached(target, digest)
                if bundle is not None:
                    return bundle
                self._discard(target)
            with self._staged(target) as folder:
                fetch(folder)
                actual = Bundle.open(folder).digest
                if actual != digest:
                    raise IntegrityError(
                        f"its digest is {actual[:12]} instead of {digest[:12]}."
                        " Restore the bundle, or train it again."
                    )
                with suppress(OSError):  # another process was first; its copy is opened below
                    folder.rename(target)
            return Bundle.open(target)

    def remove(self, digest: str) -> None:
        """Removes a bundle."""
        with _translate_disk_errors(self._folder / digest):
            self._discard(self._folder / digest)

    def sweep(self) -> None:
        """Removes leftovers of killed processes, and bundles that were not used for long."""
        with _translate_disk_errors(self._folder):
            for partial in self._folder.glob(".*"):
                remove_stale_files(self._folder / partial.name.split(".")[1])
            for bundle in self._folder.glob("[!.]*"):
                if time.time() - bundle.stat().st_mtime > MAX_UNUSED_SECONDS:
                    self._discard(bundle)

    def _open_cached(self, target: Path, digest: str) -> Bundle | None:
        try:
            bundle = Bundle.open(target)
        except BundleError:
            return None  # damaged here; the store has an intact one
        if bundle.digest != digest:
            return None
        with suppress(PermissionError):  # another user's copy is as good
            os.utime(target)
        return bundle

    def _discard(self, target: Path) -> None:
        if not target.exists():
            return
        # another process may be first
        with self._staged(target) as folder, suppress(FileNotFoundError):
            target.rename(folder / "damaged")

    @contextmanager
    def _staged(self, target: Path) -> Iterator[Path]:
        make_private_folder(self._folder)
        remove_stale_files(target)
        folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(target), dir=self._folder))
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
