"""One project's way from what the registry decides to what answers here: fetched, proven, switched to."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from windlass.errors import (
    BundleError,
    EngineError,
    IntegrityError,
    RegistryError,
    StorageError,
    WindlassError,
)
from windlass.serving.rollout.live_state import LiveRecord, LiveStateFile
from windlass.serving.rollout.loader import VersionLoader
from windlass.serving.served_project import ServedProject

if TYPE_CHECKING:
    from windlass.registry.version import LiveVersion

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between tries of what may pass

_REFUSALS = IntegrityError, EngineError, RegistryError
_PASSING = StorageError, BundleError, OSError, MemoryError
_log = logging.getLogger("windlass.serving")


class ProjectDeployment:
    """Keeps one project's live version at what the registry says. On the event loop; `loader` has the threads."""

    def __init__(
        self, hosted: ServedProject, loader: VersionLoader, live_state: LiveStateFile | None = None
    ) -> None:
        self.hosted = hosted
        self._loader = loader
        self._live_state = live_state
        self._task: asyncio.Task[None] | None = None
        self._wanted: LiveVersion | None = None  # what the last try was for
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def aim(self, live: "LiveVersion | None") -> None:
        """Have what the registry says become live, unless that is so, is under way, or was refused.

        What is under way to another version is given up.
        """
        if self._task is not None and not self._task.done():
            if self._wanted in (None, live):  # None: recalls what the other workers have
                return
            self._task.cancel()
        if live is None:
            self._lack()
            return
        if live != self._wanted:
            self._wanted, self._pause, self._not_before = live, FIRST_PAUSE, 0.0
        elif time.monotonic() < self._not_before:
            return
        if live.refusal_reason is not None:
            self._refuse(live, live.refusal_reason)
            return
        self._not_before = float(
            "inf"
        )  # until the decision changes, or a passing fault sets a time
        self._task = asyncio.create_task(self._advance(live))

    def away(self, reason: str) -> None:
        """The registry cannot be reached: say so where there is nothing to go on with."""
        if self.hosted.model is not None or self.hosted.refused is not None:
            return
        self.hosted.reason = (
            f"The registry cannot be reached, and is asked again and again. {reason}"
        )
        live = None if self._live_state is None else self._live_state.read()
        if live is not None and self._task is None:
            self._task = asyncio.create_task(self._recall(live))

    async def settle(self) -> None:
        """Return once what is under way has ended."""
        while self._task is not None and not self._task.done():  # or another one in its place
            await asyncio.wait([self._task])

    def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
        self._loader.close()

    def _refuse(self, live: "LiveVersion", reason: str) -> None:
        self._not_before = float("inf")
        self.hosted.production = live.name
        self.hosted.refuse(live.name, reason)

    def _lack(self) -> None:
        self._wanted = None
        name = self.hosted.name
        if self.hosted.model is None:
            self.hosted.reason = (
                f"No version of {name} is in production. Approve one: `windlass versions {name}` lists them,"
                f' `windlass approve {name} VERSION --reason "…"` lets one answer.'
            )

    async def _advance(self, live: "LiveVersion") -> None:
        hosted, name = self.hosted, live.name
        hosted.production = name
        model = hosted.at_hand(name)
        try:
            if model is None or model.bundle.digest != live.digest:
                model = await self._loader.decided(live)
            hosted.versions = await self._loader.available()
        except _REFUSALS as error:
            hosted.refuse(name, str(error))
        except _PASSING as error:
            self._again(name, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a bundle holds, what is live goes on
            hosted.refuse(name, f"{type(error).__name__}: {error}")
        else:
            hosted.switch(model, live.since)
            if self._live_state is not None:
                self._live_state.write(model.bundle, live.since)

    async def _recall(self, live: LiveRecord) -> None:
        """A worker that died may be replaced while the registry is away: go on with what the others have."""
        try:
            model = await self._loader.recalled(live)
        except (WindlassError, OSError) as error:
            _log.warning(
                "live version not recalled",
                extra={"project": self.hosted.name, "reason": str(error)},
            )
            return
        if self.hosted.model is None:
            self.hosted.production = live.version
            self.hosted.switch(model, live.since)

    def _again(self, name: str, reason: str) -> None:
        """Try once more in a while: what is away now may come back."""
        if self._pause == FIRST_PAUSE:
            _log.warning(
                "version not loaded yet",
                extra={"project": self.hosted.name, "version": name, "reason": reason},
            )
        if self.hosted.model is None:
            self.hosted.reason = f"{name} cannot be loaded yet, and is tried again. {reason}"
        self._not_before = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
