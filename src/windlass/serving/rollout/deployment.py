"""Deployment of one project: fetches, loads and switches to the version that the registry has in production."""

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

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 5.0  # between attempts after a transient error

_PERMANENT_ERRORS = IntegrityError, EngineError, RegistryError
_TRANSIENT_ERRORS = StorageError, BundleError, OSError, MemoryError
_log = logging.getLogger("windlass.serving")


class ProjectDeployment:
    """Keeps the live version of one project equal to the one in production.

    Used on the event loop.

    `loader` does the work on its threads.
    """

    def __init__(
        self, project: ServedProject, loader: VersionLoader, live_state: LiveStateFile | None = None
    ) -> None:
        self.project = project
        self._loader = loader
        self._live_state = live_state
        self._task: asyncio.Task[None] | None = None
        self._target: LiveVersion | None = None  # of the last attempt
        self._retry_seconds = MIN_RETRY_SECONDS
        self._retry_at = 0.0

    def reconcile(self, live: "LiveVersion | None") -> None:
        """Starts a rollout of what is in production, unless it is live, being rolled out, or was refused.

        A rollout of another version is cancelled.
        """
        if self._task is not None and not self._task.done():
            if self._target in (None, live):  # None: restores what the other workers have
                return
            self._task.cancel()
        if live is None:
            self._report_no_version()
            return
        if live != self._target:
            self._target, self._retry_seconds, self._retry_at = live, MIN_RETRY_SECONDS, 0.0
        elif time.monotonic() < self._retry_at:
            return
        if live.refusal_reason is not None:
            self._set_refused(live, live.refusal_reason)
            return
        # not again before the decision changes, or a transient error sets a time
        self._retry_at = float("inf")
        self._task = asyncio.create_task(self._roll_out(live))

    def registry_unreachable(self, reason: str) -> None:
        """Reports that the registry cannot be reached, where no version is live; restores what other workers have."""
        if self.project.model is not None or self.project.refused is not None:
            return
        self.project.reason = f"The registry cannot be reached, and is tried again. {reason}"
        live = None if self._live_state is None else self._live_state.read()
        if live is not None and self._task is None:
            self._task = asyncio.create_task(self._restore(live))

    async def wait_until_idle(self) -> None:
        """Returns once no rollout is running."""
        while self._task is not None and not self._task.done():  # another one may have replaced it
            await asyncio.wait([self._task])

    def close(self) -> None:
        """Cancels the rollout and closes the loader."""
        if self._task is not None:
            self._task.cancel()
        self._loader.close()

    def _set_refused(self, live: "LiveVersion", reason: str) -> None:
        self._retry_at = float("inf")
        self.project.production = live.name
        self.project.refuse(live.name, reason)

    def _report_no_version(self) -> None:
        self._target = None
        name = self.project.name
        if self.project.model is None:
            self.project.reason = (
                f"No version of {name} is in production. Approve one: `windlass versions {name}` lists them,"
                f' `windlass approve {name} VERSION --reason "…"` puts it into production.'
            )

    async def _roll_out(self, live: "LiveVersion") -> None:
        project, name = self.project, live.name
        project.production = name
        model = project.loaded_version(name)
        try:
            if model is None or model.bundle.digest != live.digest:
                model = await self._loader.load_production(live)
            project.available_versions = await self._loader.available_versions()
        except _PERMANENT_ERRORS as error:
            project.refuse(name, str(error))
        except _TRANSIENT_ERRORS as error:
            self._schedule_retry(name, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the live version goes on
            project.refuse(name, f"{type(error).__name__}: {error}")
        else:
            project.switch(model, live.since)
            if self._live_state is not None:
                self._live_state.write(model.bundle, live.since)

    async def _restore(self, live: LiveRecord) -> None:
        """Loads the version that the other workers have: a worker may be replaced while the registry is unreachable."""
        try:
            model = await self._loader.load_recorded(live)
        except (WindlassError, OSError) as error:
            _log.warning(
                "live version not restored",
                extra={"project": self.project.name, "reason": str(error)},
            )
            return
        if self.project.model is None:
            self.project.production = live.version
            self.project.switch(model, live.since)

    def _schedule_retry(self, name: str, reason: str) -> None:
        """Sets when to try again after a transient error, each time after a longer pause."""
        if self._retry_seconds == MIN_RETRY_SECONDS:
            _log.warning(
                "version not loaded yet",
                extra={"project": self.project.name, "version": name, "reason": reason},
            )
        if self.project.model is None:
            self.project.reason = f"{name} cannot be loaded yet, and is tried again. {reason}"
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, MAX_RETRY_SECONDS)
