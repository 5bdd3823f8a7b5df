"""The registry and the desk that control works on, opened when they are first asked for."""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock
from typing import TYPE_CHECKING

from windlass.errors import StorageError, WindlassError
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.jobs.desk import Desk
    from windlass.registry.registry import Registry

AGAIN_SECONDS = 2.0  # after which what could not be opened is tried again

_log = logging.getLogger("windlass.control")


class Stores:
    """One registry and one desk over its database. Both wait on it: threads of `Pool` only."""

    def __init__(self, open_registry: "Callable[[], Registry]") -> None:
        self._open = open_registry
        self._lock = Lock()
        self._opened: tuple[Registry, Desk] | None = None
        self._closed = Event()
        self._refused: tuple[float, str] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Stores":
        """The stores that the settings name. Nothing is opened, and SQLAlchemy not imported, until then."""

        def open_registry() -> "Registry":
            from windlass.registry.registry import Registry

            return Registry.of(settings, must_exist=True)

        return cls(open_registry)

    @property
    def registry(self) -> "Registry":
        """The registry. Raises StorageError where it cannot be opened; a later use tries again."""
        return self._both()[0]

    @property
    def desk(self) -> "Desk":
        """The desk. Raises StorageError where the registry's database cannot be opened."""
        return self._both()[1]

    def _both(self) -> "tuple[Registry, Desk]":
        if self._opened is not None:
            return self._opened
        with self._lock:
            if self._closed.is_set():
                raise StorageError("The registry was closed, for the server stops.")
            if self._opened is None:
                self._opened = self._fresh()
            if self._closed.is_set():  # meanwhile
                self._opened[0].close()
            return self._opened

    def _fresh(self) -> "tuple[Registry, Desk]":
        from windlass.jobs.desk import Desk

        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise StorageError(self._refused[1])
        try:
            registry = self._open()
        except WindlassError as error:
            self._refused = time.monotonic() + AGAIN_SECONDS, str(error)
            _log.error("registry not opened", extra={"reason": str(error)})
            raise StorageError(str(error)) from error
        return registry, Desk(registry.database)

    def close(self) -> None:
        """Close what was opened; nothing is opened any more. Does not wait for an opening that hangs."""
        self._closed.set()
        if self._opened is not None:
            self._opened[0].close()
