"""Versions asked for by name: found in the registry, loaded on demand, and what is not there remembered."""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from dataclasses import dataclass

from windlass.errors import RegistryError, StorageError, UnknownError, WindlassError
from windlass.serving.model import ServedModel
from windlass.serving.rollout.deployment import ProjectDeployment
from windlass.serving.rollout.registry_client import RegistryClient
from windlass.web.problems import Problem, unavailable

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
    """Finds versions of one project. Whoever asks for one that is being loaded waits for the same load."""

    def __init__(self, following: ProjectDeployment, link: RegistryClient) -> None:
        self._following = following
        self._hosted = following.hosted
        self._link = link
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[ServedModel]] = {}

    async def find(self, name: str) -> ServedModel:
        """The version of this name. Raises Problem 404, 409 where it was never approved, or 503."""
        if not _NAME(name):
            raise Problem(404, _UNKNOWN)
        refusal = self._refusals.get(name)
        if refusal is not None and time.monotonic() < refusal.until:
            raise refusal.problem()
        task = self._under_way.get(name)
        if task is None:
            if self._link.reachable is not True:
                raise unavailable("The registry cannot be reached to find this version.")
            if len(self._under_way) >= MAX_WAITING:
                raise unavailable("Other versions are being loaded. Try again.")
            task = self._under_way[name] = asyncio.create_task(self._load(name))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _load(self, name: str) -> ServedModel:
        try:
            model = await self._following.load(name)
        except Exception as error:  # noqa: BLE001 - told to whoever asked; what is live goes on
            raise self._refuse(name, error).problem() from None
        finally:
            del self._under_way[name]
        self._hosted.keep(model)
        _log.info("earlier version ready", extra={"project": self._hosted.name, "version": name})
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
            extra = {"project": self._hosted.name, "version": name, "reason": reason}
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


def _heard(task: "asyncio.Task[ServedModel]") -> None:
    """Whoever asked may have gone; nobody need hear of the failure then."""
    if not task.cancelled():
        task.exception()
