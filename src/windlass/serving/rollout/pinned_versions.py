"""Versions asked for by name: found in the registry, loaded on demand, and what is not there remembered."""

import logging
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from windlass.errors import RegistryError, StorageError, UnknownError, WindlassError
from windlass.serving.model import ServedModel
from windlass.serving.rollout.loader import VersionLoader
from windlass.web.offload import QueueFullError, SharedCalls
from windlass.web.problems import Problem, unavailable
from windlass.web.registry_client import RegistryClient

MAX_REMEMBERED = 256  # names that are no version of the project, or none that may answer
REMEMBERED_SECONDS = 1.0
MAX_WAITING = 8  # names that are being looked for at once

_NAME = re.compile(r"v[1-9][0-9]{0,8}").fullmatch
_log = logging.getLogger("windlass.serving")


@dataclass(frozen=True)
class _Refusal:
    status: int
    detail: str
    until: float

    def problem(self) -> Problem:
        """A new one each time: an exception that is raised twice gathers tracebacks."""
        return unavailable(self.detail) if self.status == 503 else Problem(self.status, self.detail)


_UNKNOWN = "There is no such version here. See /status for the live one."


class VersionCache:
    """Finds versions of one project by name. Callers that ask for one that is being loaded share the load."""

    def __init__(self, client: RegistryClient, loader: VersionLoader) -> None:
        self._client = client
        self._loader = loader
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()
        self._loads = SharedCalls[str, ServedModel](MAX_WAITING)

    async def find(self, name: str) -> ServedModel:
        """Returns the version of this name, loaded. Raises Problem 404, 409 where it was never approved, or 503."""
        if not _NAME(name):
            raise Problem(404, _UNKNOWN)
        refusal = self._refusals.get(name)
        if refusal is not None and time.monotonic() < refusal.until:
            raise refusal.problem()
        try:
            return await self._loads.get(name, lambda: self._load(name))
        except QueueFullError:
            raise unavailable("Other versions are being loaded. Try again.") from None

    def registry_status(self) -> dict[str, Any]:
        """What `/status` shows of the registry."""
        return self._client.status()

    async def _load(self, name: str) -> ServedModel:
        if self._client.reachable is not True:
            raise unavailable("The registry cannot be reached to find this version.")
        try:
            model = await self._loader.requested(name)
        except Exception as error:  # noqa: BLE001 - reported to whoever requested it; what is live goes on
            raise self._refuse(name, error).problem() from None
        _log.info("earlier version ready", extra={"project": self._loader.project, "version": name})
        return model

    def _refuse(self, name: str, error: Exception) -> _Refusal:
        """Remember for a moment, so that asking for what is not there asks the database but seldom."""
        until = time.monotonic() + REMEMBERED_SECONDS
        if isinstance(error, UnknownError):
            refusal = _Refusal(404, _UNKNOWN, until)
        elif isinstance(error, RegistryError):
            detail = "This version never was in production, or is kept no more. See /status for the live one."
            refusal = _Refusal(409, detail, until)
        else:
            known = isinstance(error, WindlassError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            extra = {"project": self._loader.project, "version": name, "reason": reason}
            _log.error("earlier version not loaded", extra=extra)
            away = isinstance(error, StorageError)
            detail = (
                "This version cannot be fetched now."
                if away
                else "This version cannot be served. The server's log tells why."
            )
            refusal = _Refusal(503, detail, until)
        self._refusals[name] = refusal
        self._refusals.move_to_end(name)
        while len(self._refusals) > MAX_REMEMBERED:
            self._refusals.popitem(last=False)
        return refusal
