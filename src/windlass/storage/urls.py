"""The database's URL, whether it exists and can be written, without opening it or importing SQLAlchemy."""

import os
from dataclasses import replace
from pathlib import Path

from windlass.errors import StorageError
from windlass.settings import Settings

MODELS = "models"  # folder of the versions' bundles in a store; the first registration creates it


def default_database_file(settings: Settings) -> Path:
    """Returns the SQLite file in the home folder: the database where the settings name no other."""
    return settings.home / "windlass.db"


def has_database(settings: Settings) -> bool:
    """Returns whether the settings name a database, or the home folder has one, or bundles of one that is missing."""
    return (
        settings.database_url is not None
        or default_database_file(settings).is_file()
        or (settings.home / MODELS).is_dir()
    )


def database_url(settings: Settings) -> str:
    """Returns the URL of the database that the settings name."""
    return settings.database_url or f"sqlite:///{default_database_file(settings).resolve()}"


def pin_database(settings: Settings) -> Settings:
    """Returns settings that name the home folder's database explicitly, where it exists now.

    If it vanishes later, every process of a server then reports an outage instead of an empty home.
    """
    if not default_database_file(settings).is_file():
        return settings
    return replace(settings, database_url=database_url(settings))


def is_read_only(file: Path) -> bool:
    """Returns whether a SQLite file exists in a folder that cannot be written, where SQLite has no place for locks.

    It is then opened as immutable, so that later changes of it are not seen. Raises StorageError where it has a
    write-ahead log, whose changes would be missing.
    """
    if not file.exists() or os.access(file.parent, os.W_OK):
        return False
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise StorageError(
            f"The database file {file} is read-only, and changes in {log.name} beside it cannot be read. Open it once"
            " where it can be written, such as with `windlass versions`, while no other process has it open."
        )
    return True


def has_read_only_home(settings: Settings) -> bool:
    """Returns whether the database is the one in the home folder, and that can only be read. Raises StorageError."""
    file = default_database_file(settings)
    return database_url(settings) == f"sqlite:///{file.resolve()}" and is_read_only(file)
