"""One project's way from what the registry decides to what answers here: fetched, proven, switched to."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from windlass.core.bundle import Bundle
from windlass.errors import (
    BundleError,
    EngineError,
    IntegrityError,
    RegistryError,
    StorageError,
    WindlassError,
)
from windlass.serving.model import ServedModel
from windlass.serving.rollout.live_state import LiveRecord, LiveStateFile
from windlass.serving.rollout.loader import BundleFetcher, ModelLoader
from windlass.serving.rollout.registry_client import TIMEOUT_SECONDS, RegistryClient
from windlass.serving.served_project import ServedProject
from windlass.web.offload import DaemonExecutor

if TYPE_CHECKING:
    from windlass.registry.version import LiveVersion as Decided
    from windlass.registry.version import Version

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between tries of what may pass

_REFUSALS = IntegrityError, EngineError, RegistryError
_PASSING = StorageError, BundleError, OSError, MemoryError
_log = logging.getLogger("windlass.serving")


class ProjectDeployment:
    """Keeps one project's live version at what the registry says. On the event loop; work goes to threads.

    Questions, fetches, decided loads and asked-for loads have threads apart, so that a decision waits neither
    for a store that is silent nor for what clients ask for.
    """

    def __init__(
        self,
        hosted: ServedProject,
        link: RegistryClient,
        loader: ModelLoader,
        remembered: LiveStateFile | None = None,
    ) -> None:
        self.hosted = hosted
        self._remembered = remembered
        self._link = link
        self._loader = loader
        self._questions = DaemonExecutor(f"questions-{hosted.name}")
        self._fetching = BundleFetcher(hosted.name, self._fetch)
        self._decided_loads = DaemonExecutor(f"loads-{hosted.name}")
        self._asked_loads = DaemonExecutor(f"earlier-{hosted.name}")
        self._task: asyncio.Task[None] | None = None
        self._wanted: Decided | None = None  # what the last try was for
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def aim(self, live: "Decided | None") -> None:
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
        if live.refused is not None:
            self._refuse(live, live.refused)
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
        live = None if self._remembered is None else self._remembered.read()
        if live is not None and self._task is None:
            self._task = asyncio.create_task(self._recall(live))

    async def settle(self) -> None:
        """Return once what is under way has ended."""
        while self._task is not None and not self._task.done():  # or another one in its place
            await asyncio.wait([self._task])

    async def load(self, name: str) -> ServedModel:
        """A version that is or was in production, loaded. Raises what the registry or the bundle raises."""
        bundle = await self._fetching.bundle(await self._approved(name))
        return await self._asked_loads.run(self._loader.load_in_line, bundle)

    def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
        for thread in (self._questions, self._decided_loads, self._asked_loads):
            thread.close()

    def _refuse(self, live: "Decided", reason: str) -> None:
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

    async def _advance(self, live: "Decided") -> None:
        hosted, name = self.hosted, live.name
        hosted.production = name
        model = hosted.at_hand(name)
        try:
            if model is None or model.bundle.digest != live.digest:
                bundle = await self._fetching.bundle(await self._approved(name, live.digest))
                model = await self._decided_loads.run(self._loader.load, bundle)
            hosted.versions = await self._asked(self._available)
        except _REFUSALS as error:
            hosted.refuse(name, str(error))
        except _PASSING as error:
            self._again(name, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a bundle holds, what is live goes on
            hosted.refuse(name, f"{type(error).__name__}: {error}")
        else:
            hosted.switch(model, live.since)
            if self._remembered is not None:
                self._remembered.write(model.bundle, live.since)

    async def _recall(self, live: LiveRecord) -> None:
        """A worker that died may be replaced while the registry is away: go on with what the others have."""
        try:
            model = await self._decided_loads.run(self._open, live)
        except (WindlassError, OSError) as error:
            _log.warning(
                "live version not recalled",
                extra={"project": self.hosted.name, "reason": str(error)},
            )
            return
        if self.hosted.model is None:
            self.hosted.production = live.version
            self.hosted.switch(model, live.since)

    def _open(self, live: LiveRecord) -> ServedModel:
        return self._loader.load(live.bundle())

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

    async def _approved(self, name: str, digest: str | None = None) -> "Version":
        """The version of this name, where it was approved as this very bundle."""
        version = await self._asked(self._find, name)
        if digest not in (None, version.digest):
            raise self._another(name)
        return version

    async def _asked(self, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the database says. One that does not answer is left alone, with the thread that waits for it."""
        thread = self._questions
        asked = thread.run(ask, *args, **kwargs)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await asked
        except TimeoutError:
            if thread is self._questions:  # else another question was given up before this one
                thread.close()
                self._questions = DaemonExecutor(f"questions-{self.hosted.name}")
            raise StorageError(
                f"The registry has not answered for {TIMEOUT_SECONDS:g} seconds."
            ) from None

    def _find(self, name: str) -> "Version":
        return self._link.registry().approved(self.hosted.name, name)

    def _fetch(self, version: "Version") -> Bundle:
        """On a thread: nothing is loaded but the very bundle that was approved."""
        bundle = self._link.registry().fetch(version)
        if bundle.digest != version.digest:
            raise self._another(version.name)
        return bundle

    def _another(self, name: str) -> IntegrityError:
        return IntegrityError(
            f"The bundle of {self.hosted.name} {name} is not the one that was approved."
            " Restore it, or approve another version."
        )

    def _available(self) -> tuple[str, ...]:
        return tuple(one.name for one in self._link.registry().available(self.hosted.name))
