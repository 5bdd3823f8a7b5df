"""What every control route of a process works with: the stores, the threads that wait on them, the watches."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeVar

from windlass.control.job_watcher import JobWatcher
from windlass.errors import StorageError, UnknownError, WindlassError
from windlass.jobs.job import Job
from windlass.settings import Settings
from windlass.web.problems import unavailable
from windlass.web.worker_pool import StuckError, WorkerPool

if TYPE_CHECKING:
    from windlass.jobs.queue import JobQueue
    from windlass.registry.registry import Registry

AGAIN_SECONDS = 2.0  # after which what could not be opened is tried again

_log = logging.getLogger("windlass.control")


class ControlStores:
    """One registry and one desk over its database. Both wait on it: threads of `Pool` only."""

    def __init__(self, open_registry: "Callable[[], Registry]") -> None:
        self._open = open_registry
        self._lock = Lock()
        self._opened: tuple[Registry, JobQueue] | None = None
        self._closed = Event()
        self._refused: tuple[float, str] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "ControlStores":
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
    def desk(self) -> "JobQueue":
        """The desk. Raises StorageError where the registry's database cannot be opened."""
        return self._both()[1]

    def _both(self) -> "tuple[Registry, JobQueue]":
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

    def _fresh(self) -> "tuple[Registry, JobQueue]":
        from windlass.jobs.queue import JobQueue

        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise StorageError(self._refused[1])
        try:
            registry = self._open()
        except WindlassError as error:
            self._refused = time.monotonic() + AGAIN_SECONDS, str(error)
            _log.error("registry not opened", extra={"reason": str(error)})
            raise StorageError(str(error)) from error
        return registry, JobQueue(registry.database)

    def close(self) -> None:
        """Close what was opened; nothing is opened any more. Does not wait for an opening that hangs."""
        self._closed.set()
        if self._opened is not None:
            self._opened[0].close()


T = TypeVar("T")


class ControlBackend:
    """One for a process, on its event loop. `close` after the last answer."""

    def __init__(self, open_stores: Callable[[], ControlStores]) -> None:
        self._open = open_stores
        self._stores, self._pool, self._reading = open_stores(), WorkerPool(), WorkerPool()
        self.watches = JobWatcher(self._read)

    async def run(self, work: Callable[[ControlStores], T]) -> T:
        """What `work` returns, from a thread. Raises what it raises, and Problem 503 where too much waits."""
        stores, pool = self._stores, self._pool
        try:
            return await pool.run(lambda: work(stores))
        except StuckError:
            if pool is self._pool:
                self._abandon()
            raise unavailable(
                "The database does not answer. What was asked for may still come to pass: look before you ask again.",
                retry_after=5,
            ) from None

    async def run_reading(self, work: Callable[[ControlStores], T]) -> T:
        """As `run`, for what reads bundles on behalf of anybody: a store that is silent holds up no decision."""
        stores, pool = self._stores, self._reading
        try:
            return await pool.run(lambda: work(stores))
        except StuckError:
            if pool is self._reading:
                pool.close()
                self._reading = WorkerPool()
            raise unavailable("The bundle store does not answer.", retry_after=5) from None

    def _abandon(self) -> None:
        """Ask over new connections, on new threads: a connection whose other end is gone may be silent for hours."""
        _log.error("registry does not answer", extra={"reason": "asked anew over new connections"})
        self._pool.close()
        self._stores.close()
        self._stores, self._pool = self._open(), WorkerPool()

    async def _read(self, ids: Sequence[str]) -> list[Job]:
        def read(stores: ControlStores) -> list[Job]:
            found = []
            for name in ids:
                with suppress(UnknownError):  # a restored database may lack it; the others go on
                    found.append(stores.desk.get(name))
            return found

        return await self.run(read)

    def close(self) -> None:
        """Ask no more, and close the stores."""
        self.watches.close()
        self._pool.close()
        self._reading.close()
        self._stores.close()
