"""Runs registry calls off the event loop, and opens the registry again where a call hangs."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.errors import StorageError, WindlassError, error_text
from windlass.settings import Settings
from windlass.web.offload import DaemonExecutor

if TYPE_CHECKING:
    from windlass.registry.registry import Registry

T = TypeVar("T")

_log = logging.getLogger("windlass.registry")


@dataclass(frozen=True)
class RegistryLimits:
    """Limits of a registry client, times in seconds."""

    threads: int = 1
    timeout: float = 5.0  # for one call, its time in the queue included
    max_pending: int | None = None
    retry: float = 0.0  # for which what could not be opened is not tried again


_LIMITS = RegistryLimits()


class _Connection:
    """One registry, opened by the first thread that needs it."""

    def __init__(self, open_registry: "Callable[[], Registry]", retry: float) -> None:
        self._open = open_registry
        self._retry = retry
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._failure: tuple[float, str] | None = None
        self.registry: Registry | None = None

    def get(self) -> "Registry":
        """The registry, opened. Raises StorageError where it cannot be; a later use tries again."""
        if self.registry is not None:
            return self.registry
        with self._lock:
            if self._closed.is_set():
                raise StorageError(
                    "The registry was closed: the server stops, or it did not answer."
                )
            if self.registry is None:
                self.registry = self._opened()
            if self._closed.is_set():  # meanwhile
                self.registry.close()
            return self.registry

    def _opened(self) -> "Registry":
        if self._failure is not None and time.monotonic() < self._failure[0]:
            raise StorageError(self._failure[1])
        try:
            return self._open()
        except WindlassError as error:
            self._failure = time.monotonic() + self._retry, str(error)
            raise StorageError(str(error)) from error

    def close(self) -> None:
        """Close it; nothing is opened any more. Does not wait for an opening that hangs."""
        self._closed.set()
        if self.registry is not None:
            self.registry.close()


class RegistryClient:
    """Calls the registry on daemon threads of its own.

    Methods are for the event loop, but `registry` and `open`, which any thread may call.
    `reachable`, `reason` and `since` say how the last `poll` ended: None before the first one.
    """

    def __init__(
        self,
        open_registry: "Callable[[], Registry]",
        limits: RegistryLimits = _LIMITS,
        name: str = "registry",
    ) -> None:
        self._open = open_registry
        self._retry, self._timeout = limits.retry, limits.timeout
        self._connection = _Connection(open_registry, limits.retry)
        self._executor = DaemonExecutor(
            name,
            threads=limits.threads,
            timeout=limits.timeout,
            max_pending=limits.max_pending,
            on_abandon=self._reconnect,
        )
        self.reachable: bool | None = None
        self.reason: str | None = None
        self.since = time.time()

    def registry(self) -> "Registry":
        """The registry, from any thread. Raises StorageError where it is not open."""
        registry = self._connection.registry
        if registry is None:
            raise StorageError("The registry cannot be reached. The server tries again by itself.")
        return registry

    def open(self) -> "Registry":
        """Opens the registry on this thread, where it is not open. Raises StorageError."""
        return self._connection.get()

    async def run(self, work: "Callable[[Registry], T]") -> T:
        """Returns what `work` returns. Raises what it raises, StorageError, and what DaemonExecutor.run raises."""
        return await self.run_on(self._executor, work)

    async def run_on(self, executor: DaemonExecutor, work: "Callable[[Registry], T]") -> T:
        """As `run`, on the threads of another executor."""
        connection = self._connection
        return await executor.run(lambda: work(connection.get()))

    async def poll(self, work: "Callable[[Registry], T]") -> T | None:
        """Returns what `work` returns; None where that fails, whatever the reason, which is kept and logged."""
        try:
            result = await self.run(work)
        except TimeoutError:
            self._note(f"It has not answered for {self._timeout:g} seconds.")
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the server goes on with what it has
            self._note(error_text(error))
            return None
        self._note(None)
        return result

    def status(self) -> dict[str, Any]:
        """What `/status` shows: whether the registry can be reached, since when that is so, and why not."""
        return {"reachable": self.reachable is True, "since": self.since, "reason": self.reason}

    def close(self) -> None:
        """Takes no more calls, and closes the registry."""
        self._executor.close()
        self._connection.close()

    def _reconnect(self) -> None:
        """Use a new connection from now on: one whose other end is gone may be silent for an hour."""
        self._connection.close()
        self._connection = _Connection(self._open, self._retry)

    def _note(self, reason: str | None) -> None:
        """Note the outcome of a poll; a change is logged once."""
        reachable = reason is None
        if reachable is not self.reachable:
            if not reachable:
                _log.error("registry unavailable", extra={"reason": reason})
            elif self.reachable is not None:
                _log.info(
                    "registry available again",
                    extra={"seconds": round(time.time() - self.since, 1)},
                )
            self.reachable, self.since = reachable, time.time()
        self.reason = reason


def registry_opener(settings: Settings) -> "Callable[[], Registry]":
    """Returns a function that opens the registry that the settings name, and imports SQLAlchemy only then."""

    def open_registry() -> "Registry":
        from windlass.registry.registry import Registry

        return Registry.open(settings, must_exist=True)

    return open_registry
