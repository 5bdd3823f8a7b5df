"""Where the database is, and whether it is there; without opening it, nor importing what it takes to."""

from dataclasses import replace
from pathlib import Path

from windlass.settings import Settings


def default_file(settings: Settings) -> Path:
    """The SQLite file of the home folder, which is the database where the settings name no other."""
    return settings.home / "windlass.db"


def has_database(settings: Settings) -> bool:
    """Whether the settings name a database, or somebody made the one of the home folder."""
    return settings.database_url is not None or default_file(settings).is_file()


def url_of(settings: Settings) -> str:
    """The URL of the database that the settings name."""
    return settings.database_url or f"sqlite:///{default_file(settings).resolve()}"


def pinned(settings: Settings) -> Settings:
    """The settings that a server goes on with: they name the home folder's database where it is there now.

    Should it be gone later, that is an outage then, for every process of the server, and no empty home.
    """
    return replace(settings, database_url=url_of(settings)) if has_database(settings) else settings
