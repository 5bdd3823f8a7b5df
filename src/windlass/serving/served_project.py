"""A project in this server: which version answers, which others are at hand, and why there is none."""

import logging
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from windlass.core.bundle import Bundle
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.metrics import ServerMetrics
from windlass.serving.model import ServedModel
from windlass.serving.online_features import OnlineFeatures
from windlass.web.problems import Problem, unavailable

MAX_AT_HAND = 3  # versions kept loaded beside the live one and its predecessor

_log = logging.getLogger("windlass.serving")


@dataclass(frozen=True)
class Unavailable:
    """A version that was to be live and is not: why, and since when, in seconds since 1970."""

    version: str
    reason: str
    since: float


class VersionFinder(Protocol):
    """Loads versions that are not live, where the registry decides about a project."""

    async def find(self, name: str) -> ServedModel:
        """Returns the version of this name, loaded. Raises Problem 404, 409 or 503."""

    def registry_status(self) -> dict[str, Any]:
        """What `/status` shows: whether the registry can be reached, since when that is so, and why not."""


class ServedProject:
    """A project in this server. Everything happens on the event loop; `model` is what answers now.

    A request holds the model that it began with, so that a switch is one assignment: whoever comes later
    gets the new version, and the old one is gone once nobody holds it.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger | None,
        telemetry: ServerMetrics,
        online: OnlineFeatures | None = None,
        *,
        versions: VersionFinder | None = None,
        predicts: bool = True,
    ) -> None:
        """`online` and `versions` are there where the registry decides about the project.

        `online` reads its features; `versions` loads others than the live one; without `predicts`, features are
        all that it serves.
        """
        self.name = name
        self.ledger = ledger
        self.online = online
        self._predicts = predicts
        self.model: ServedModel | None = None
        self.reason: str | None = "loading"
        self.since: float | None = None  # when it was decided that the live version be live
        self.production: str | None = None  # the version that the registry wants to be live
        self.refused: Unavailable | None = None
        self.versions: tuple[str, ...] = ()  # those that may be asked for
        self._finder = versions
        self._telemetry = telemetry
        self._predecessor: ServedModel | None = None
        self._others: OrderedDict[str, ServedModel] = OrderedDict()

    @property
    def bundle(self) -> Bundle | None:
        """The live version's bundle."""
        return None if self.model is None else self.model.bundle

    @property
    def stage(self) -> str | None:
        """The live version's in the registry; None for a bare bundle, and where nothing is live."""
        if self.model is None or self.production is None:
            return None
        return "production" if self.model.version == self.production else "archived"

    @property
    def lack(self) -> str | None:
        """Why it does not answer what it is here for; None where it does."""
        if self._predicts:
            return None if self.model is not None else str(self.reason)
        return None if self.online is None else self.online.lack

    def live(self) -> ServedModel:
        """The live model. Raises Problem 503 where there is none."""
        if self.model is None:
            raise unavailable(f"Project {self.name} is not ready: {self.reason}")
        return self.model

    async def named(self, version: str) -> ServedModel:
        """The version of this name, if it is or was in production. Raises Problem 404, 409 or 503."""
        found = self.at_hand(version)
        if found is not None:
            return found
        if self._finder is None:
            raise Problem(404, "There is no such version here. See /status for the live one.")
        model = await self._finder.find(version)
        if (
            self.at_hand(version) is not model
        ):  # another request that waited for it may have kept it
            self.keep(model)
        return model

    def at_hand(self, version: str) -> ServedModel | None:
        """A version that is loaded."""
        for model in (self.model, self._predecessor):
            if model is not None and model.version == version:
                return model
        found = self._others.get(version)
        if found is not None:
            self._others.move_to_end(version)
        return found

    def keep(self, model: ServedModel) -> None:
        """Have a version at hand that is not live. Of too many, the one asked for longest ago goes."""
        model.count_in(self._telemetry)
        self._others[model.version] = model
        self._others.move_to_end(model.version)
        while len(self._others) > MAX_AT_HAND:
            self._others.popitem(last=False)

    def switch(self, model: ServedModel, since: float) -> None:
        """Let `model` answer from now on. Its predecessor stays at hand, for a rollback."""
        before, started = self.model, time.time()
        if model is not before:
            model.count_in(self._telemetry)
            self._others.pop(model.version, None)
            self._predecessor, self.model = before, model
        self.since = since
        self.reason = self.refused = None
        self._say_ready(model, before, started - since)

    def _say_ready(self, model: ServedModel, before: ServedModel | None, late: float) -> None:
        for gate in model.bundle.manifest.gates:
            if not gate.passed and before is not model:
                _log.warning("gate not passed", extra={"project": self.name, "rule": gate.rule})
        _log.info(
            "version ready",
            extra={
                "project": self.name,
                "version": model.version,
                "before": None if before is None else before.version,
                "engine": model.engine.name,
                "load_seconds": round(model.load_seconds, 4),
                "test_seconds": round(model.test_seconds, 4),
                "seconds_after_decision": None if self.production is None else round(late, 3),
            },
        )

    def refuse(self, version: str, reason: str) -> None:
        """Go on as before: `version` was to be live, and is not fit."""
        self.refused = Unavailable(version, reason, time.time())
        if self.model is None:
            self.reason = reason
        _log.error(
            "version refused",
            extra={
                "project": self.name,
                "version": version,
                "reason": reason,
                "live": None if self.model is None else self.model.version,
            },
        )

    def told(self) -> dict[str, Any]:
        """What `/status` says of versions."""
        model = self.model
        trained = None if model is None else model.view
        return {
            "ready": self.lack is None,
            "reason": self.reason if self._predicts else self.lack,
            "live_version": None if model is None else model.version,
            "live_since": self.since,
            "stage": self.stage,
            "engine": None if model is None else model.engine.name,
            "bundle_digest": None if model is None else model.bundle.digest,
            "refused": None if self.refused is None else asdict(self.refused),
            "registry": None if self._finder is None else self._finder.registry_status(),
            "features": None if self.online is None else self.online.told(trained),
        }
