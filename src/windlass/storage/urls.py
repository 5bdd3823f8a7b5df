"""The database's URL, and whether the database exists, without opening it or importing SQLAlchemy."""

from dataclasses import replace
from pathlib import Path

from windlass.settings import Settings


def default_database_file(settings: Settings) -> Path:
    """Returns the SQLite file in the home folder: the database where the settings name no other."""
    return settings.home / "windlass.db"


def has_database(settings: Settings) -> bool:
    """Returns whether the settings name a database, or the one in the home folder exists."""
    return settings.database_url is not None or default_database_file(settings).is_file()


def database_url(settings: Settings) -> str:
    """Returns the URL of the database that the settings name."""
    return settings.database_url or f"sqlite:///{default_database_file(settings).resolve()}"


def pin_database(settings: Settings) -> Settings:
    """Returns settings that name the home folder's database explicitly, where it exists now.

    If it vanishes later, every process of a server then reports an outage instead of an empty home.
    """
    if not has_database(settings):
        return settings
    return replace(settings, database_url=database_url(settings))
