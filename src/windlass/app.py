"""Composition root of the web process: bundles, ledgers, counters and routes put together."""

import asyncio
import gc
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path

from windlass.core.bundle import Bundle, find_bundle
from windlass.errors import ProjectError, WindlassError
from windlass.logs import set_up_logs
from windlass.monitoring.cells import Cells, shared_folder
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.telemetry import Telemetry
from windlass.serving.model import Hosted
from windlass.serving.observe import Observer
from windlass.serving.routes import routes_of
from windlass.serving.service import Service
from windlass.settings import Settings

RATE_SECONDS = 10.0


def application(
    *paths: Path | str, settings: Settings | None = None, logs: bool = False
) -> Service:
    """The ASGI application that serves these bundles (folders, or project folders with `artifacts/`).

    Every digest is verified here, before anything listens; loading and the golden rows come with the
    server's start. Raises BundleError or IntegrityError. With `logs`, which is for entry points,
    everything logs JSON lines to standard error, and what cannot be served ends the process in one.
    """
    if logs:
        try:
            settings = settings or Settings.read()
            set_up_logs(settings.log_level)
            return application(*paths, settings=settings)
        except WindlassError as error:
            sys.exit(f"windlass: {error}")
    settings = settings or Settings.read()
    bundles = [Bundle.open(find_bundle(Path(path))) for path in paths]
    refuse_twins(bundles)
    server = _Server(settings, bundles)
    return Service(
        server.routes,
        server.telemetry,
        max_body=settings.max_body,
        start=server.start,
        stop=server.stop,
    )


def refuse_twins(bundles: Sequence[Bundle]) -> None:
    """Raise ProjectError where two bundles are of one project."""
    names = [bundle.manifest.project for bundle in bundles]
    for name in names:
        if names.count(name) > 1:
            raise ProjectError(
                f"Two of the bundles are of project {name!r}, and its routes can lead to one only."
                " Name one of them."
            )


@dataclass
class _Server:
    """What lives as long as the process: its routes, counters, ledgers and threads."""

    settings: Settings
    bundles: Sequence[Bundle]

    def __post_init__(self) -> None:
        self._cells = _cells(self.settings)
        self.telemetry = Telemetry(self._cells)
        self.hosted = [Hosted(bundle, self._ledger(bundle)) for bundle in self.bundles]
        self.observer = Observer(self.hosted, self.telemetry)
        self.routes = routes_of(self.hosted, self.observer, self.settings)
        # one thread for models: an engine call uses one core, and the event loop has another to itself
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._tasks: list[asyncio.Task[None]] = []

    def _ledger(self, bundle: Bundle) -> Ledger | None:
        if not self.settings.ledger:
            return None
        return Ledger(self.settings.home / "ledger" / bundle.manifest.project)

    async def start(self) -> None:
        """Load every bundle on a thread, so that health is answered meanwhile.

        One of several workers takes no request before it is ready, for another may be.
        """
        loading = asyncio.create_task(self._load())
        self._tasks = [loading, asyncio.create_task(self._tell_rate())]
        if parent_process() is not None:
            await loading

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        for hosted in self.hosted:
            await loop.run_in_executor(self._executor, hosted.load, self.telemetry, self._executor)
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
        self._executor.shutdown(wait=False, cancel_futures=True)
        for hosted in self.hosted:
            if hosted.ledger is not None:
                hosted.ledger.close()
        self._cells.close()


def _cells(settings: Settings) -> Cells:
    """Counters shared by all workers; where the home folder cannot be written, this process's own."""
    try:
        return Cells(shared_folder(settings.home))
    except OSError:
        return Cells()
