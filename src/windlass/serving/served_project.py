"""A project of this server: its live version, the other versions that are loaded, and why it is not ready."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from windlass.core.bundle import Bundle
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.metrics import ServerMetrics
from windlass.serving.model import ServedModel
from windlass.serving.online_features import OnlineFeatures
from windlass.web.problems import Problem, unavailable

MAX_LOADED_VERSIONS = 3  # beside the live one and its predecessor

_log = logging.getLogger("windlass.serving")


@dataclass(frozen=True)
class RefusedVersion:
    """A version that was approved but cannot be served: the reason, and when that was found, in seconds since 1970."""

    version: str
    reason: str
    since: float


class VersionFinder(Protocol):
    """Loads versions that are not live, where the registry decides about a project."""

    async def find(self, name: str, keep: Callable[[ServedModel], None]) -> ServedModel:
        """Returns the version of this name, loaded; `keep` gets it first. Raises Problem 404, 409 or 503."""

    def registry_status(self) -> dict[str, Any]:
        """Returns what `/status` shows of the registry: whether it can be reached, since when, and why not."""


class ServedProject:
    """A project of this server; `model` is the live version.

    Used on the event loop only.

    A request keeps the model that it started with, so that a switch is one assignment: later requests get the new
    version, and the old one is freed after its last request.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger | None,
        metrics: ServerMetrics,
        online: OnlineFeatures | None = None,
        *,
        versions: VersionFinder | None = None,
        predicts: bool = True,
    ) -> None:
        """`online` and `versions` are given for a project of the registry.

        `online` reads its features, `versions` finds versions that are not live. Without `predicts`, the project
        serves features only.
        """
        self.name = name
        self.ledger = ledger
        self.online = online
        self._predicts = predicts
        self.model: ServedModel | None = None
        self.reason: str | None = "loading"
        self.live_since: float | None = None  # when it was approved, in seconds since 1970
        self.production: str | None = None  # the version in production, as the registry has it
        self.refused: RefusedVersion | None = None
        self.available_versions: tuple[str, ...] = ()  # that a request may name
        self._finder = versions
        self._metrics = metrics
        self._predecessor: ServedModel | None = None
        self._recently_used: OrderedDict[str, ServedModel] = OrderedDict()

    @property
    def bundle(self) -> Bundle | None:
        """The live version's bundle."""
        return None if self.model is None else self.model.bundle

    @property
    def stage(self) -> str | None:
        """The live version's stage in the registry; None for a bundle by itself, and where nothing is live."""
        if self.model is None or self.production is None:
            return None
        return "production" if self.model.version == self.production else "archived"

    @property
    def unready_reason(self) -> str | None:
        """Why the project cannot answer; None where it is ready."""
        if self._predicts and self.model is None:
            return str(self.reason)
        if self._predicts:
            return None if self.ledger is None else self.ledger.unwritable_reason()
        return None if self.online is None else self.online.unready_reason

    def live_model(self) -> ServedModel:
        """Returns the live model. Raises Problem 503 where there is none."""
        if self.model is None:
            raise unavailable(f"Project {self.name} is not ready: {self.reason}")
        return self.model

    async def find_version(self, version: str) -> ServedModel:
        """Returns the version of this name, if it is or was in production. Raises Problem 404, 409 or 503."""
        loaded = self.loaded_version(version)
        if loaded is not None:
            return loaded
        if self._finder is None:
            raise Problem(404, "There is no such version here. See /status for the live one.")
        return await self._finder.find(version, self.add_loaded)

    def loaded_version(self, version: str) -> ServedModel | None:
        """Returns the version of this name if it is loaded."""
        for model in (self.model, self._predecessor):
            if model is not None and model.version == version:
                return model
        other = self._recently_used.get(version)
        if other is not None:
            self._recently_used.move_to_end(version)
        return other

    def add_loaded(self, model: ServedModel) -> None:
        """Keeps a version loaded that is not live; above MAX_LOADED_VERSIONS the least recently used one goes."""
        model.use_metrics(self._metrics)
        self._recently_used[model.version] = model
        self._recently_used.move_to_end(model.version)
        while len(self._recently_used) > MAX_LOADED_VERSIONS:
            self._recently_used.popitem(last=False)

    def switch(self, model: ServedModel, since: float) -> None:
        """Makes `model` the live version; its predecessor stays loaded, for a rollback."""
        previous, started = self.model, time.time()
        if model is not previous:
            model.use_metrics(self._metrics)
            self._recently_used.pop(model.version, None)
            self._predecessor, self.model = previous, model
        self.live_since = since
        self.reason = self.refused = None
        self._log_switch(model, previous, started - since)

    def _log_switch(self, model: ServedModel, previous: ServedModel | None, seconds: float) -> None:
        for gate in model.bundle.manifest.gates:
            if not gate.passed and previous is not model:
                _log.warning("gate not passed", extra={"project": self.name, "rule": gate.rule})
        _log.info(
            "version ready",
            extra={
                "project": self.name,
                "version": model.version,
                "previous": None if previous is None else previous.version,
                "engine": model.engine.name,
                "load_seconds": round(model.load_seconds, 4),
                "test_seconds": round(model.test_seconds, 4),
                "seconds_after_decision": None if self.production is None else round(seconds, 3),
            },
        )

    def refuse(self, version: str, reason: str) -> None:
        """Records that `version` was approved but cannot be served; what is live stays live."""
        self.refused = RefusedVersion(version, reason, time.time())
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

    def status(self) -> dict[str, Any]:
        """Returns what `/status` says of versions, registry and features."""
        model = self.model
        unready_reason = self.unready_reason
        trained_view = None if model is None else model.view_version
        return {
            "ready": unready_reason is None,
            "reason": unready_reason,
            "live_version": None if model is None else model.version,
            "live_since": self.live_since,
            "stage": self.stage,
            "engine": None if model is None else model.engine.name,
            "bundle_digest": None if model is None else model.bundle.digest,
            "refused": None if self.refused is None else asdict(self.refused),
            "registry": None if self._finder is None else self._finder.registry_status(),
            "features": None if self.online is None else self.online.status(trained_view),
        }
