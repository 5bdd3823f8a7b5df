"""What disks and DuckDB refuse, told as a FeatureError: what failed, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windlass.core.atomic_files import disk_advice
from windlass.errors import FeatureError


@contextmanager
def translate_disk_errors(folder: Path) -> Iterator[None]:
    """Tell what the disk refuses of `folder`. Raises FeatureError."""
    try:
        yield
    except OSError as error:
        raise FeatureError(
            f"Features cannot be written at {error.filename or folder}: {error.strerror or error}. {disk_advice(error)}"
        ) from error


@contextmanager
def translate_duckdb_errors(work: str) -> Iterator[None]:
    """Tell what DuckDB refuses of `work`, such as "compute the features". Raises FeatureError."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise FeatureError(
            f"DuckDB could not {work}: {line}. Give it more memory with --memory, or free some space on the disk."
        ) from error
