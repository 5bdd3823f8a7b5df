"""Where a server reads the keys that are valid now. SQLAlchemy is imported only where a database is there."""

from typing import TYPE_CHECKING, Protocol

from windlass.auth.key import ApiKey
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.auth.key_store import KeyStore


class KeySource(Protocol):
    """Tells which keys are valid. Asked by one thread, over and over."""

    def read(self) -> dict[str, ApiKey]:
        """The valid keys by hash. Raises StorageError where they cannot be read now."""

    def close(self) -> None:
        """Nobody will ask again."""


class DatabaseKeySource:
    """The keys of the database that the settings name, opened when it is first there.

    Where that is the SQLite file of the home folder and nobody made it yet, there are no keys: a container
    that has only those of WINDLASS_API_KEYS gets no database from its server. Once it was there, it is missed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys: KeyStore | None = None

    def read(self) -> dict[str, ApiKey]:
        """The valid keys by hash. Raises StorageError or SettingsError where they cannot be read."""
        if self._keys is None:
            if not has_database(self._settings):
                return {}
            from windlass.auth.key_store import KeyStore
            from windlass.storage.database import Database

            self._keys = KeyStore(Database.of(self._settings, must_exist=True))
        return self._keys.valid()

    def close(self) -> None:
        """Close the database."""
        if self._keys is not None:
            self._keys.close()
