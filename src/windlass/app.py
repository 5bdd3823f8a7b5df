"""Composition root of the web process: projects, ledgers, counters and routes put together."""

import asyncio
import gc
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path

from windlass.control.app import ControlPlane
from windlass.errors import SettingsError, WindlassError
from windlass.logs import set_up_logs
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters, shared_folder
from windlass.serving.online_features import OnlineFeatures, StoreOpener
from windlass.serving.openapi.operations import about, chapter
from windlass.serving.rollout.deployment import ProjectDeployment
from windlass.serving.rollout.live_state import LiveStateFile
from windlass.serving.rollout.loader import ModelLoader, load_bare
from windlass.serving.rollout.pinned_versions import VersionCache
from windlass.serving.rollout.registry_client import RegistryClient
from windlass.serving.rollout.watcher import FeatureViewWatcher, RegistryWatcher
from windlass.serving.routes import routes_of
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.serving.targets import ServeTarget, ServiceRole, subjects
from windlass.settings import Settings
from windlass.storage.urls import pinned
from windlass.web.asgi import AsgiService
from windlass.web.authentication import Authenticator
from windlass.web.openapi import OpenApiDocument
from windlass.web.swagger_ui import DocsRoutes

RATE_SECONDS = 10.0


def application(
    *paths: Path | str | ServeTarget,
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
            settings = settings or Settings.read()
            set_up_logs(settings.log_level)
            return application(*paths, settings=settings, only=only)
        except WindlassError as error:
            sys.exit(f"windlass: {error}")
    settings = pinned(settings or Settings.read())
    server = _Server(settings, subjects(paths, settings), only)
    return AsgiService(
        server.routes,
        server.telemetry,
        max_body=settings.max_body,
        start=server.start,
        stop=server.stop,
        guard=server.guard,
    )


@dataclass
class _Server:
    """What lives as long as the process: its routes, counters, ledgers and threads."""

    settings: Settings
    subjects: Sequence[ServeTarget]
    only: ServiceRole | None = None

    def __post_init__(self) -> None:
        self._predicts = self.only is not ServiceRole.FEATURES
        self._refuse_without_features()
        self.guard = Authenticator.of(self.settings)
        self._cells = _cells(self.settings)
        self.telemetry = ServerMetrics(self._cells)
        self.hosted = [self._host(one) for one in self.subjects]
        self.observer = StatusRoutes(self.hosted, self.telemetry)
        self.control = self._controlling()
        routes = routes_of(self.hosted, self.observer, self.settings, self.only)
        if self.control is not None:
            routes += self.control.routes
        learn = None if self.control is None else self.control.learn
        self.docs = DocsRoutes(self._book, routes, learn)
        self.routes = [*routes, *self.docs.routes()]
        # one thread for models: an engine call uses one core, and the event loop has another to itself
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._loader = ModelLoader(self._executor)
        self._link = RegistryClient(self.settings)
        self._follower = self._following()
        self._views = self._viewing()
        self._tasks: list[asyncio.Task[None]] = []

    def _refuse_without_features(self) -> None:
        bare = next((one.project for one in self.subjects if one.bundle is not None), None)
        if bare is not None and not self._predicts:
            raise SettingsError(
                f"Project {bare} is served as a bundle by itself, which has no feature view. Name a project of the"
                " registry, or leave out --only."
            )

    def _host(self, subject: ServeTarget) -> ServedProject:
        name, settings = subject.project, self.settings
        keeps = settings.ledger and self._predicts
        ledger = Ledger(settings.home / "ledger" / name) if keeps else None
        if subject.bundle is not None:
            return ServedProject(name, ledger, self.telemetry)
        online = OnlineFeatures(StoreOpener(settings, name), self.telemetry, subject.view)
        return ServedProject(name, ledger, self.telemetry, online, predicts=self._predicts)

    def _following(self) -> RegistryWatcher | None:
        """Those that the registry decides about; None, and no registry opened, where there are only bundles."""
        link, followings = self._link, []
        for hosted, subject in zip(self.hosted, self.subjects, strict=True):
            hosted.switched = self.docs.renew
            if subject.bundle is None and self._predicts:
                kept = _remembered(self.settings, subject)
                followings.append(following := ProjectDeployment(hosted, link, self._loader, kept))
                hosted.registry = link.told
                hosted.find = VersionCache(following, link).find
        return RegistryWatcher(link, followings) if followings else None

    def _viewing(self) -> FeatureViewWatcher | None:
        """The feature views of those that the registry decides about."""
        followed = [hosted.online for hosted in self.hosted if hosted.online is not None]
        for online in followed:
            online.changed = self.docs.renew
        return FeatureViewWatcher(self._link, followed) if followed else None

    def _controlling(self) -> ControlPlane | None:
        """Control over those that the registry decides about."""
        names = [one.project for one in self.subjects if one.bundle is None]
        return ControlPlane.of(self.settings, names) if names and self._predicts else None

    def _book(self) -> OpenApiDocument:
        chapters = [chapter(self.hosted)]
        if self.control is not None:
            chapters.append(self.control.chapter)
        names = [hosted.name for hosted in self.hosted]
        return OpenApiDocument(names, about(self.hosted), chapters, self.settings.auth)

    async def start(self) -> None:
        """Load every version on a thread, so that health is answered meanwhile.

        One of several workers takes no request before it is ready, for another may be.
        """
        if self.guard is not None:
            await asyncio.to_thread(self.guard.start)
        loading = asyncio.create_task(self._load())
        self._tasks = [loading, asyncio.create_task(self._tell_rate())]
        if parent_process() is not None:
            await loading

    async def _load(self) -> None:
        for hosted, subject in zip(self.hosted, self.subjects, strict=True):
            if subject.bundle is not None:
                await load_bare(hosted, subject.bundle, self._loader)
        if self._follower is not None:
            self._tasks.append(asyncio.create_task(self._follower.run()))
            await self._follower.settle()
        if self._views is not None:
            self._tasks.append(asyncio.create_task(self._views.run()))
            await self._views.settle()
        # what is loaded stays: the collector need not walk it again and again while requests wait
        gc.collect()
        gc.freeze()

    async def _tell_rate(self) -> None:
        while True:
            await asyncio.sleep(RATE_SECONDS)
            self.observer.log_rate()

    async def stop(self) -> None:
        """End the tasks and close the ledgers; every answer has left by now."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._follower is not None:
            self._follower.close()
        if self._views is not None:
            self._views.close()
        self._link.close()
        if self.control is not None:
            self.control.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        for hosted in self.hosted:
            if hosted.ledger is not None:
                hosted.ledger.close()
        self._cells.close()
        if self.guard is not None:
            await asyncio.to_thread(self.guard.stop)


def _remembered(settings: Settings, subject: ServeTarget) -> LiveStateFile | None:
    """Where the workers of this server note what is live."""
    try:
        return LiveStateFile(shared_folder(settings.home), subject.project, subject.session)
    except OSError:
        return None


def _cells(settings: Settings) -> SharedCounters:
    """Counters shared by all workers; where the home folder cannot be written, this process's own."""
    try:
        return SharedCounters(shared_folder(settings.home))
    except OSError:
        return SharedCounters()
