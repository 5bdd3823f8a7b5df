"""Writes a bundle: files go to a staging folder, are hashed and flushed, and replace the target atomically."""

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
    """Makes a temporary folder beside `target`, and removes it afterwards, also after an error.

    First removes leftovers of killed runs. Raises BundleError if the folder cannot be made.
    """
    target = target.resolve()  # a symbolic link stays; its target is replaced
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


def seal_bundle(folder: Path, signing_key: Path | None = None, **facts: Any) -> Manifest:
    """Hashes every file in `folder` and writes the manifest last, and its signature where there is a key.

    `facts` are the manifest's other fields. Raises SettingsError for a key that cannot be used.
    """
    files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
    manifest = Manifest(format=FORMAT, files=files, **facts)
    for name in files:
        fsync_path(folder / name)
    (folder / MANIFEST).write_bytes(pretty_json(manifest.model_dump(mode="json")))
    fsync_path(folder / MANIFEST)
    fsync_path(folder)
    if signing_key is not None:
        from windlass.core.bundle_signature import sign_manifest  # cryptography, an extra

        sign_manifest(folder, signing_key)
    return manifest


def publish_bundle(folder: Path, target: Path) -> None:
    """Replaces `target` by a sealed folder.

    A crash at any time leaves either the old or the new bundle. Raises BundleError if `target` exists and is
    not a bundle, or cannot be written.
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
    """Raises BundleError if `target` is neither a bundle nor empty, or cannot be replaced."""
    if target.is_mount():
        raise BundleError(
            f"{target} is a mount point, which cannot be replaced. Name a folder inside it with --artifacts."
        )
    try:
        # a swap would also replace a device or a socket
        occupied = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _write_error(target, error) from error
    if occupied and not (target / MANIFEST).is_file():
        raise BundleError(
            f"{target} exists and is not a bundle. Choose another folder with --artifacts, or remove it."
        )


def _write_error(path: Path, error: OSError) -> BundleError:
    return BundleError(
        f"Cannot write to {path}: {error.strerror}. Choose another folder with --artifacts."
    )


def _swap_folders(folder: Path, target: Path) -> None:
    """Swaps two folders. Without a system call for that, renames twice; see `_recover_backup`."""
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
    backup = _backup_path(target)
    target.rename(backup)
    folder.rename(target)
    shutil.rmtree(backup, ignore_errors=True)


def _backup_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _recover_backup(target: Path) -> None:
    """Restores the old bundle after a crash between the two renames of `_swap_folders`.

    After a crash later than that, the new bundle is in place, and the backup is removed.
    """
    backup = _backup_path(target)
    if backup.is_dir() and not target.exists():
        backup.rename(target)
    else:
        shutil.rmtree(backup, ignore_errors=True)
