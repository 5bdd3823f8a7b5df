"""One writer at a time: a lock on a file, which the system frees when its holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windlass.errors import FeatureError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the only right to write below `folder`. Raises FeatureError where another process has it."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FeatureError(
                f"Another process is writing features in {folder}. Try again when it has ended."
            ) from error
        yield
