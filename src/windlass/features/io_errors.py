"""Translates errors of the disk and of DuckDB to FeatureError: what failed, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windlass.core.atomic_files import disk_advice
from windlass.errors import FeatureError


@contextmanager
def translate_disk_errors(folder: Path) -> Iterator[None]:
    """Raises FeatureError where `folder` cannot be written."""
    try:
        yield
    except OSError as error:
        raise FeatureError(
            f"Features cannot be written at {error.filename or folder}: {error.strerror or error}. {disk_advice(error)}"
        ) from error


@contextmanager
def translate_duckdb_errors(work: str) -> Iterator[None]:
    """Raises FeatureError where DuckDB fails at `work`, such as "compute the features"."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise FeatureError(
            f"DuckDB could not {work}: {line}. Give it more memory with --memory, or free some space on the disk."
        ) from error
