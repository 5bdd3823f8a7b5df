"""Helpers to write files and folders atomically: write to a temporary name, flush, rename; and to make private ones.

The temporary name of `NAME` is `.NAME.PID.…`, so that leftovers of killed processes can be found.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from windlass.errors import WindlassError

_ADVICE = {
    errno.ENOSPC: "Free some space.",
    errno.EDQUOT: "Free some space.",
    errno.EFBIG: "Files may not grow so large here; raise the limit, or use another disk.",
    errno.EACCES: "Let this user write there, or name another folder with WINDLASS_HOME.",
    errno.EROFS: "Name a folder that can be written with WINDLASS_HOME.",
}


@contextmanager
def translate_disk_errors(kind: type[WindlassError], failure: str, path: Path) -> Iterator[None]:
    """Raises `kind` for an OSError: `failure`, such as "Features cannot be written", where, and what to do.

    `path` is named where the error names none.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check that the disk works and can be written.")
        where = error.filename or path
        raise kind(f"{failure} at {where}: {error.strerror or error}. {advice}") from error


def temporary_prefix(path: Path) -> str:
    """Returns the prefix of temporary names that this process uses for `path`."""
    return f".{path.name}.{os.getpid()}."


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file atomically and flushes it to disk."""
    part = path.with_name(f"{temporary_prefix(path)}part")
    part.write_bytes(content)
    fsync_path(part)
    part.replace(path)
    fsync_path(path.parent)


def remove_stale_files(path: Path) -> None:
    """Removes temporary files and folders that killed processes left for `path`."""
    prefix = f".{path.name}."
    for leftover in path.parent.glob(f"{escape(prefix)}*.*"):
        owner = leftover.name.removeprefix(prefix).partition(".")[0]
        if not owner.isdecimal() or is_process_alive(int(owner)):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Makes a folder of the home, and the missing ones above it, which only their owner may enter."""
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)


def create_private_file(file: Path) -> None:
    """Makes an empty file that only its owner may read, where there is none; its folder must exist."""
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))


def fsync_path(path: Path) -> None:
    """Flushes a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_process_alive(pid: int) -> bool:
    """Whether a process with this ID runs, whoever owns it; a zombie has ended, and waits for its parent to notice."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):  # it just ended, or this system shows no states
        return not Path("/proc/self/stat").exists()
    return state not in (b"Z", b"X")
