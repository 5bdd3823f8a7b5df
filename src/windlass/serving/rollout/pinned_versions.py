"""Versions that requests name: finds them in the registry, loads them on demand, and caches failures."""

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from windlass.errors import RegistryError, StorageError, UnknownError, error_text
from windlass.serving.model import ServedModel
from windlass.serving.rollout.loader import VersionLoader
from windlass.web.offload import QueueFullError, SharedCalls
from windlass.web.problems import Problem, unavailable
from windlass.web.registry_client import RegistryClient

MAX_CACHED_ERRORS = 256  # failures that are cached
ERROR_SECONDS = 1.0  # for which a failure is answered without asking the registry
MAX_WAITING = 8  # versions that are loaded at once

_NAME = re.compile(r"v[1-9][0-9]{0,8}").fullmatch
_log = logging.getLogger("windlass.serving")


@dataclass(frozen=True)
class _CachedError:
    status: int
    detail: str
    until: float

    def problem(self) -> Problem:
        """Returns a new exception each time: one that is raised twice accumulates tracebacks."""
        return unavailable(self.detail) if self.status == 503 else Problem(self.status, self.detail)


_UNKNOWN = "There is no such version here. See /status for the live one."


class VersionCache:
    """Finds and loads versions of one project; concurrent requests for one version share its load."""

    def __init__(
        self, client: RegistryClient, loader: VersionLoader, error_seconds: float = ERROR_SECONDS
    ) -> None:
        self._client = client
        self._loader = loader
        self._error_seconds = error_seconds
        self._errors: OrderedDict[str, _CachedError] = OrderedDict()
        self._loads = SharedCalls[str, ServedModel](MAX_WAITING)

    async def find(self, name: str, keep: Callable[[ServedModel], None]) -> ServedModel:
        """Returns the version of this name, loaded. Raises Problem 404, 409 where it was never approved, or 503.

        `keep` gets it before the load counts as ended, so that no request begins another one.
        """
        if not _NAME(name):
            raise Problem(404, _UNKNOWN)
        cached = self._errors.get(name)
        if cached is not None and time.monotonic() < cached.until:
            raise cached.problem()
        try:
            return await self._loads.get(name, lambda: self._load(name, keep))
        except QueueFullError:
            raise unavailable("Other versions are being loaded. Try again.") from None

    def registry_status(self) -> dict[str, Any]:
        """Returns what `/status` shows of the registry."""
        return self._client.status()

    async def _load(self, name: str, keep: Callable[[ServedModel], None]) -> ServedModel:
        if self._client.reachable is not True:
            raise unavailable("The registry cannot be reached to find this version.")
        try:
            model = await self._loader.load_requested(name)
        except Exception as error:  # noqa: BLE001 - reported to the clients; the live version goes on
            raise self._cache_error(name, error).problem() from None
        keep(model)
        _log.info("earlier version ready", extra={"project": self._loader.project, "version": name})
        return model

    def _cache_error(self, name: str, error: Exception) -> _CachedError:
        """Caches a failure, so that repeated requests for a missing version rarely reach the database."""
        until = time.monotonic() + self._error_seconds
        if isinstance(error, UnknownError):
            cached = _CachedError(404, _UNKNOWN, until)
        elif isinstance(error, RegistryError):
            detail = "This version was never in production, or its bundle was removed. See /status for the live one."
            cached = _CachedError(409, detail, until)
        else:
            reason = error_text(error)
            extra = {"project": self._loader.project, "version": name, "reason": reason}
            _log.error("earlier version not loaded", extra=extra)
            detail = "This version cannot be served. The server's log tells why."
            if isinstance(error, StorageError):
                detail = "This version cannot be fetched now."
            cached = _CachedError(503, detail, until)
        self._errors[name] = cached
        self._errors.move_to_end(name)
        while len(self._errors) > MAX_CACHED_ERRORS:
            self._errors.popitem(last=False)
        return cached
