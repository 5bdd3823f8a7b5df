"""Composition root of the web process: projects, ledgers, counters and routes put together."""

import asyncio
import gc
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import parent_process
from pathlib import Path

from windlass.control.app import ControlPlane
from windlass.core.bundle_trust import BundleTrust
from windlass.errors import SettingsError, WindlassError
from windlass.logs import set_up_logs
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.ledger_retention import ledger_limits, remove_old_segments
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters, counters_folder
from windlass.serving.online_features import OnlineFeatures, StoreOpener
from windlass.serving.protocols import open_inference
from windlass.serving.rollout.deployment import ProjectDeployment
from windlass.serving.rollout.live_state import LiveStateFile
from windlass.serving.rollout.loader import ModelLoader, VersionLoader, load_bundle
from windlass.serving.rollout.pinned_versions import VersionCache
from windlass.serving.rollout.watcher import FeatureViewWatcher, RegistryWatcher
from windlass.serving.routes import inference_routes
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.serving.targets import NamedVersion, ServeTarget, ServiceRole, resolve_targets
from windlass.settings import Settings
from windlass.storage.urls import pin_database
from windlass.web.asgi import AsgiService
from windlass.web.authentication import Authenticator
from windlass.web.cross_origin_protection import CrossOriginProtection
from windlass.web.offload import DaemonExecutor
from windlass.web.openapi import OpenApiDocument
from windlass.web.registry_client import RegistryClient, registry_opener
from windlass.web.swagger_ui import DocsRoutes

RATE_SECONDS = 10.0
RETENTION_SECONDS = 60.0  # between two looks at the age and size of the ledgers
# after which a thread that computes hands the interpreter to one that waits for it: a request gives it away as it
# writes to the ledger, and with Python's 5 ms, 32 requests at a time would wait 160 ms for a thread that loads a model
SWITCH_SECONDS = 0.00005
# objects that a server makes between two collections: with Python's 700 they took a tenth of a prediction's time
COLLECT_EVERY = 20_000

_log = logging.getLogger("windlass.serving")


def application(
    *paths: Path | str | NamedVersion | ServeTarget,
    settings: Settings | None = None,
    logs: bool = False,
    only: ServiceRole | None = None,
) -> AsgiService:
    """The ASGI application that serves these: bundles, folders of projects, names of projects in the registry.

    A bundle's digests are verified here, before anything listens; loading and the reference examples come with
    the server's start, and what the registry decides is followed from then on. Raises BundleError,
    IntegrityError, RegistryError or StorageError. With `logs`, which is for entry points, everything logs
    JSON lines to standard error, and what cannot be served ends the process in one. With `only`, one of the
    two services: that of features loads no model.
    """
    if logs:
        try:
            settings = settings or _settings_of(paths)
            set_up_logs(settings.log_level)
            return application(*paths, settings=settings, only=only)
        except WindlassError as error:
            sys.exit(f"windlass: {error}")
    settings = pin_database(settings or _settings_of(paths))
    process = _WebProcess(settings, resolve_targets(paths, settings), only)
    return AsgiService(
        process.routes,
        process.metrics,
        max_body=settings.max_body,
        lifespan=process,
        access=process.access,
        error_formats={open_inference.PREFIX: open_inference.encode_error},
    )


def _settings_of(paths: Sequence[Path | str | NamedVersion | ServeTarget]) -> Settings:
    return Settings.read(near=[Path(path) for path in paths if isinstance(path, Path | str)])


class _WebProcess:
    """What lives as long as the process: its routes, counters, ledgers and threads."""

    def __init__(
        self, settings: Settings, targets: Sequence[ServeTarget], only: ServiceRole | None
    ) -> None:
        self._predicts = only is not ServiceRole.FEATURES
        if not self._predicts:
            _require_features(targets)
        self._settings = settings
        self._bundles = [target.bundle for target in targets]
        self._authenticator = Authenticator.from_settings(settings)
        self.access = self._authenticator or CrossOriginProtection(settings.allowed_hosts)
        self._counters = SharedCounters.in_home(settings.home)
        self.metrics = ServerMetrics(self._counters)
        # one thread for models: an engine call uses one core, and the event loop has another to itself
        self._executor = DaemonExecutor("model")
        self._loader = ModelLoader(self._executor, BundleTrust.from_settings(settings))
        self._registry = RegistryClient(registry_opener(settings))
        self._projects: list[ServedProject] = []
        deployments = []
        for target in targets:
            project, deployment = self._serve(target)
            self._projects.append(project)
            deployments += [] if deployment is None else [deployment]
        self._watcher = RegistryWatcher(self._registry, deployments) if deployments else None
        stores = [project.online for project in self._projects if project.online is not None]
        self._views = FeatureViewWatcher(self._registry, stores) if stores else None
        names = [target.project for target in targets if target.bundle is None]
        has_control = bool(names) and self._predicts
        self._control = ControlPlane.from_settings(settings, names) if has_control else None
        self._status = StatusRoutes(self._projects, self.metrics)
        routes = inference_routes(self._projects, self._status, settings, only)
        if self._control is not None:
            routes += self._control.routes
        docs = DocsRoutes(self._openapi, routes, self._openapi_state)
        self.routes = [*routes, *docs.routes()]
        self._tasks: list[asyncio.Task[None]] = []

    def _serve(self, target: ServeTarget) -> tuple[ServedProject, ProjectDeployment | None]:
        """A project, and what keeps it at the registry's decisions; None where nothing is decided about it."""
        name, settings = target.project, self._settings
        keeps = settings.ledger and self._predicts
        ledger = self._ledger(name) if keeps else None
        if target.bundle is not None:
            if target.warning is not None:
                _log.warning("not in production", extra={"project": name, "detail": target.warning})
            return ServedProject(name, ledger, self.metrics), None
        online = OnlineFeatures(StoreOpener(settings, name), self.metrics, target.view)
        if not self._predicts:
            return ServedProject(name, ledger, self.metrics, online, predicts=False), None
        loader = VersionLoader(name, self._registry, self._loader)
        versions = VersionCache(self._registry, loader)
        project = ServedProject(name, ledger, self.metrics, online, versions=versions)
        return project, ProjectDeployment(project, loader, _live_state(settings, target))

    def _ledger(self, name: str) -> Ledger:
        failures = self.metrics.ledger_failures(name)
        return Ledger(self._settings.home / "ledger" / name, failures=failures)

    def _openapi(self) -> OpenApiDocument:
        # the models of the document are built when it is first asked for
        from windlass.serving.openapi.operations import openapi_section, project_summary

        sections = [openapi_section(self._projects)]
        if self._control is not None:
            sections.append(self._control.section)
        names = [project.name for project in self._projects]
        about = project_summary(self._projects)
        return OpenApiDocument(names, about, sections, self._settings.auth)

    async def _openapi_state(self) -> object:
        """What the document depends on: declarations, live versions and feature views."""
        declared = () if self._control is None else await self._control.refresh()
        live = [
            None if project.bundle is None else project.bundle.digest for project in self._projects
        ]
        views = [
            None if online is None else (online.view, online.stored_ids)
            for online in (project.online for project in self._projects)
        ]
        return declared, live, views

    async def start(self) -> None:
        """Load every version on a thread, so that health is answered meanwhile.

        One of several workers takes no request before it is ready, for another may be.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        if self._authenticator is not None:
            await asyncio.to_thread(self._authenticator.start)
        loading = asyncio.create_task(self._load())
        self._tasks = [
            loading,
            asyncio.create_task(self._log_rate()),
            asyncio.create_task(self._limit_ledgers()),
        ]
        if parent_process() is not None:
            await loading

    async def _load(self) -> None:
        for project, bundle in zip(self._projects, self._bundles, strict=True):
            if bundle is not None:
                await load_bundle(project, bundle, self._loader)
        for watcher in (self._watcher, self._views):
            if watcher is not None:
                self._tasks.append(asyncio.create_task(watcher.run()))
                await watcher.wait_until_synced()
        # what is loaded stays: the collector need not walk it again and again while requests wait
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY, 10, 10)

    async def _log_rate(self) -> None:
        while True:
            await asyncio.sleep(RATE_SECONDS)
            self._status.log_rate()

    async def _limit_ledgers(self) -> None:
        """Removes what the settings do not keep of the ledgers, again and again."""
        limits = ledger_limits(self._settings)
        ledgers = [project.ledger for project in self._projects if project.ledger is not None]
        while not limits.is_unlimited:
            for ledger in ledgers:
                try:
                    await asyncio.to_thread(remove_old_segments, ledger.folder, limits)
                except OSError as error:
                    _log.warning("ledger not limited", extra={"reason": str(error)})
            await asyncio.sleep(RETENTION_SECONDS)

    async def stop(self) -> None:
        """End the tasks and close the ledgers; every response has left by now."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for closing in (self._watcher, self._views, self._registry, self._control, self._executor):
            if closing is not None:
                closing.close()
        for project in self._projects:
            if project.ledger is not None:
                project.ledger.close()
        self._counters.close()
        if self._authenticator is not None:
            await asyncio.to_thread(self._authenticator.stop)


def _require_features(targets: Sequence[ServeTarget]) -> None:
    bare = next((target.project for target in targets if target.bundle is not None), None)
    if bare is not None:
        raise SettingsError(
            f"Project {bare} is served as a bundle by itself, which has no feature view. Name a project of the"
            " registry, or leave out --only."
        )


def _live_state(settings: Settings, target: ServeTarget) -> LiveStateFile | None:
    """The file where the workers of this server note what is live; None where the home cannot be written."""
    try:
        return LiveStateFile(counters_folder(settings.home), target.project, target.session)
    except OSError:
        return None
