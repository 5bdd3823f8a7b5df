"""Bundles of a store that is far away, as they are kept on this machine: by digest, verified on every open."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from windlass.core.atomic_files import remove_stale_files, temporary_prefix
from windlass.core.bundle import Bundle
from windlass.errors import BundleError, IntegrityError, StorageError

UNUSED = 30 * 24 * 3600.0  # seconds after which a bundle that nobody opened here goes


class BundleCache:
    """Bundles in one folder. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def open(self, digest: str, fetch: Callable[[Path], None]) -> Bundle:
        """The bundle of this digest. `fetch` writes its files to a folder, where it is not here or is damaged.

        Raises IntegrityError where what was fetched is another bundle, StorageError.
        """
        target = self._folder / digest
        with _told(target):
            if target.exists():
                found = self._kept(target, digest)
                if found is not None:
                    return found
                self._discard(target)
            with self._staged(target) as folder:
                fetch(folder)
                actual = Bundle.open(folder).digest
                if actual != digest:
                    raise IntegrityError(
                        f"its digest is {actual[:12]} instead of {digest[:12]}."
                        " Restore the bundle, or train it again."
                    )
                with suppress(
                    OSError
                ):  # another process was first; what it put there is opened below
                    folder.rename(target)
            return Bundle.open(target)

    def forget(self, digest: str) -> None:
        """Remove a bundle."""
        with _told(self._folder / digest):
            self._discard(self._folder / digest)

    def sweep(self) -> None:
        """Remove what killed processes left, and what was not used for long."""
        with _told(self._folder):
            for part in self._folder.glob(".*"):
                remove_stale_files(self._folder / part.name.split(".")[1])
            for kept in self._folder.glob("[!.]*"):
                if time.time() - kept.stat().st_mtime > UNUSED:
                    self._discard(kept)

    def _kept(self, target: Path, digest: str) -> Bundle | None:
        try:
            found = Bundle.open(target)
        except BundleError:
            return None  # damaged here; the store has it whole
        if found.digest != digest:
            return None
        with suppress(PermissionError):  # another user's copy is as good
            os.utime(target)
        return found

    def _discard(self, target: Path) -> None:
        if not target.exists():
            return
        with (
            self._staged(target) as aside,
            suppress(FileNotFoundError),
        ):  # another process was first
            target.rename(aside / "damaged")

    @contextmanager
    def _staged(self, target: Path) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_stale_files(target)
        folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(target), dir=self._folder))
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The copies of bundles failed at {error.filename or path}: {error.strerror or error}."
            " Free some space, or let this user write there."
        ) from error
