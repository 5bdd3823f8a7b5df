"""Files that appear whole or not at all: written under a name beside their own, flushed, put in place.

What is being written to `NAME` is called `.NAME.PID.…`, so that what a killed process left can be told.
"""

import errno
import os
import shutil
from glob import escape
from pathlib import Path

_ADVICE = {
    errno.ENOSPC: "Free some space.",
    errno.EDQUOT: "Free some space.",
    errno.EFBIG: "Files may not grow so large here; raise the limit, or use another disk.",
    errno.EACCES: "Let this user write there, or name another folder with WINDLASS_HOME.",
    errno.EROFS: "Name a folder that can be written with WINDLASS_HOME.",
}


def disk_advice(error: OSError) -> str:
    """What to do about what a disk refused."""
    return _ADVICE.get(error.errno or 0, "See whether the disk is well and can be written.")


def temporary_prefix(path: Path) -> str:
    """How the names begin of what this process writes on its way to `path`."""
    return f".{path.name}.{os.getpid()}."


def remove_stale_files(path: Path) -> None:
    """Remove what killed processes left on its way to `path`."""
    before = f".{path.name}."
    for leftover in path.parent.glob(f"{escape(before)}*.*"):
        owner = leftover.name.removeprefix(before).partition(".")[0]
        if not owner.isdecimal() or is_process_alive(int(owner)):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def fsync_path(path: Path) -> None:
    """Have the disk hold a file or folder before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_process_alive(pid: int) -> bool:
    """Whether a process of this number runs, be it ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
