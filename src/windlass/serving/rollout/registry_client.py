"""This process's way to the registry: opened when it can be, and what is known of whether it answers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.errors import StorageError, WindlassError
from windlass.settings import Settings
from windlass.web.offload import DaemonExecutor

if TYPE_CHECKING:
    from windlass.core.feature_view import ViewRecord
    from windlass.registry.registry import Registry
    from windlass.registry.version import LiveVersion

POLL_SECONDS = 0.4
TIMEOUT_SECONDS = 5.0  # after which a registry that gives no answer is told to be away

T = TypeVar("T")

_log = logging.getLogger("windlass.serving")


class RegistryClient:
    """One for all projects of this process. On the event loop, but for what its thread asks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry: Registry | None = None
        self._thread = DaemonExecutor("registry")
        self.reachable: bool | None = None  # not known yet
        self.reason: str | None = None
        self.since = time.time()

    def registry(self) -> "Registry":
        """The registry, from any thread. Raises StorageError where it has not been reached yet."""
        if self._registry is None:
            raise StorageError("The registry cannot be reached. It is asked again and again.")
        return self._registry

    async def live(self, names: Sequence[str]) -> "dict[str, LiveVersion] | None":
        """What is in production; None where the registry cannot be reached, or gives no answer for long."""
        return await self._answer(lambda registry: registry.live(names))

    async def views(self, names: Sequence[str]) -> "dict[str, ViewRecord | None] | None":
        """The feature views that these projects declare; None as above. Who is not declared is left out."""

        def ask(registry: "Registry") -> "dict[str, ViewRecord | None]":
            return {one.name: one.view for one in registry.declarations() if one.name in names}

        return await self._answer(ask)

    async def _answer(self, ask: "Callable[[Registry], T]") -> T | None:
        thread = self._thread
        asked = thread.run(self._ask, ask)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):  # wait_for may lose a cancellation
                found = await asked
        except TimeoutError:
            if thread is self._thread:  # else another question was given up before this one
                self._abandon()
            return None
        except WindlassError as error:
            self._is(str(error))
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the server goes on with what it has
            self._is(f"{type(error).__name__}: {error}")
            return None
        self._is(None)
        return found

    def told(self) -> dict[str, Any]:
        """What `/status` says: whether it can be reached, since when that is so, and why not."""
        return {"reachable": self.reachable is True, "since": self.since, "reason": self.reason}

    def close(self) -> None:
        """Let go of the database."""
        self._thread.close()
        if self._registry is not None:
            self._registry.close()

    def _ask(self, ask: "Callable[[Registry], T]") -> T:
        if self._registry is None:
            # and SQLAlchemy, which a server of bundles alone never needs
            from windlass.registry.registry import Registry

            self._registry = Registry.of(self._settings, must_exist=True)
        return ask(self._registry)

    def _abandon(self) -> None:
        """Ask over a new connection next time: one whose other end is gone may be silent for an hour."""
        self._is(f"It has not answered for {TIMEOUT_SECONDS:g} seconds.")
        self._thread.close()
        self._thread = DaemonExecutor("registry")
        self._registry = None

    def _is(self, reason: str | None) -> None:
        """Note how it stands; a change is logged once."""
        reachable = reason is None
        if reachable is not self.reachable:
            if not reachable:
                _log.error("registry away", extra={"reason": reason})
            elif self.reachable is not None:
                _log.info("registry back", extra={"seconds": round(time.time() - self.since, 1)})
            self.reachable, self.since = reachable, time.time()
        self.reason = reason
