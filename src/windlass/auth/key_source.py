"""Source of a server's valid keys; SQLAlchemy is imported only where a database exists."""

from typing import TYPE_CHECKING, Protocol

from windlass.auth.key import ApiKey
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.auth.key_store import KeyStore


class KeySource(Protocol):
    """Source of the valid keys; one thread polls it."""

    def read(self) -> dict[str, ApiKey]:
        """Returns the valid keys by hash. Raises StorageError where they cannot be read now."""

    def close(self) -> None:
        """Releases its resources."""


class DatabaseKeySource:
    """Source that reads the keys from the settings' database, and opens it once it exists.

    While the SQLite file of the home folder does not exist there are no keys: a server of a container that uses
    only WINDLASS_API_KEYS creates no database. Once the file was opened, its absence is an error.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys: KeyStore | None = None

    def read(self) -> dict[str, ApiKey]:
        """Returns the valid keys by hash. Raises StorageError or SettingsError where they cannot be read."""
        if self._keys is None:
            if not has_database(self._settings):
                return {}
            from windlass.auth.key_store import KeyStore
            from windlass.storage.database import Database

            self._keys = KeyStore(Database.open(self._settings, must_exist=True))
        return self._keys.active_keys()

    def close(self) -> None:
        """Closes the database."""
        if self._keys is not None:
            self._keys.close()
