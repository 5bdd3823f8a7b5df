"""Writing a bundle: staged beside its place, hashed, flushed, and put there at one stroke."""

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windlass.core.atomic_files import fsync_path, remove_stale_files, temporary_prefix
from windlass.core.bundle import FORMAT, MANIFEST, Manifest
from windlass.core.hashing import pretty_json, sha256_file
from windlass.errors import BundleError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # macOS sys/stdio.h


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`, removed afterwards whatever happened.

    What killed runs left beside `target` is removed first. Raises BundleError where it cannot be made.
    """
    target = target.resolve()  # a link stays, what it leads to is replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _recover_backup(target)
        remove_stale_files(target)
        folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(target), dir=target.parent))
    except OSError as error:
        raise _write_error(target.parent, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seal_bundle(folder: Path, **facts: Any) -> Manifest:
    """Hash every file in `folder`, then write the manifest, last. `facts` are the manifest's other fields."""
    files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
    manifest = Manifest(format=FORMAT, files=files, **facts)
    for name in files:
        fsync_path(folder / name)
    (folder / MANIFEST).write_bytes(pretty_json(manifest.model_dump(mode="json")))
    fsync_path(folder / MANIFEST)
    fsync_path(folder)
    return manifest


def publish_bundle(folder: Path, target: Path) -> None:
    """Put a sealed folder in the place of `target`: a crash at any moment leaves the old bundle or the new.

    Raises BundleError where `target` is something else than a bundle, or cannot be written.
    """
    target = target.resolve()
    check_replaceable(target)
    try:
        folder.chmod(0o755)
        if target.exists():
            _swap_folders(folder, target)
        else:
            folder.rename(target)
        fsync_path(target.parent)
    except OSError as error:
        raise _write_error(target, error) from error


def check_replaceable(target: Path) -> None:
    """Raise BundleError where `target` holds something that no training put there, or cannot be replaced."""
    if target.is_mount():
        raise BundleError(
            f"{target} is a mount point, which cannot be replaced. Name a folder inside it with --artifacts."
        )
    try:
        # a device or a socket could be exchanged like a folder, and would be gone
        occupied = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _write_error(target, error) from error
    if occupied and not (target / MANIFEST).is_file():
        raise BundleError(
            f"{target} exists and is no bundle. Choose another folder with --artifacts, or remove it."
        )


def _write_error(path: Path, error: OSError) -> BundleError:
    return BundleError(
        f"Cannot write to {path}: {error.strerror}. Choose another folder with --artifacts."
    )


def _swap_folders(folder: Path, target: Path) -> None:
    """Swap two folders. Where the system has no such call, two renames, which `_recover` completes."""
    libc = ctypes.CDLL(None, use_errno=True)
    new, old = os.fsencode(folder), os.fsencode(target)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, new, _AT_FDCWD, old, _RENAME_EXCHANGE)
    elif sys.platform == "darwin":
        failed = libc.renamex_np(new, old, _RENAME_SWAP)
    else:
        failed, _ = -1, ctypes.set_errno(errno.ENOSYS)
    if not failed:
        return
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTSUP):
        raise OSError(code, os.strerror(code))
    aside = _backup_path(target)
    target.rename(aside)
    folder.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def _backup_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _recover_backup(target: Path) -> None:
    """Bring back the old bundle where a crash fell between the two renames of `_exchange`.

    Where it fell after them, the new bundle stands and the old one is only in the way.
    """
    aside = _backup_path(target)
    if aside.is_dir() and not target.exists():
        aside.rename(target)
    else:
        shutil.rmtree(aside, ignore_errors=True)
