"""Worker process: it takes jobs from the queues of its projects and runs one at a time, until it is stopped.

A stop ends a running training at once. The job goes back to the queue, and the next worker continues after
the last finished step.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from windlass.core.project_spec import find_folder
from windlass.errors import ProjectError, StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.workflows.execution.context import (
    STAGING_FOLDER,
    JobContext,
    JobTimings,
    find_project_folder,
    remove_stale_staging,
)
from windlass.workflows.execution.project_process import read_declaration
from windlass.workflows.execution.runner import JOB_KINDS, Heartbeat, JobRunner

if TYPE_CHECKING:
    from windlass.workflows.execution.durable import DurableEngine

POLL_SECONDS = 0.25  # between looks at the queue
STOP_SECONDS = 8.0  # after which a stop waits for nothing

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Worker:
    """Runs the jobs of projects, named by folder or name, or of every project whose folder is on this machine."""

    def __init__(
        self, settings: Settings, projects: Sequence[Path] = (), *, must_exist: bool = False
    ) -> None:
        self._settings = settings
        self._projects = projects
        self._must_exist = must_exist
        self._named: dict[str, Path] = {}
        self._stopping = threading.Event()
        self._timings = JobTimings()

    def stop(self) -> None:
        """Requests the end of `run`."""
        self._stopping.set()

    def run(self) -> None:
        """Runs jobs until it is stopped, through every outage of the database.

        Raises SettingsError; ProjectError where none of the projects named can be read.
        """
        registry = self._retry(lambda: Registry.open(self._settings, must_exist=self._must_exist))
        if registry is None:
            return
        try:
            registry.sweep()
            self._declare(registry)
            self._work(registry)
        finally:
            registry.close()

    def _declare(self, registry: Registry) -> None:
        """Reads the named projects, each in a child process, and declares them in the registry."""
        error_text = ""
        for target in self._projects:
            folder = self._retry(partial(_find_folder, registry, target))
            if folder is None:
                return
            try:
                spec = read_declaration(folder, _log_output)
            except ProjectError as error:
                error_text = str(error)
                _log.error("project not read", extra={"folder": str(folder), "reason": error_text})
                continue
            self._named[spec.name] = Path(spec.folder)
            self._retry(partial(registry.declare, spec))
        if error_text and not self._named:
            raise ProjectError(error_text)

    def _work(self, registry: Registry) -> None:
        queue = JobQueue(registry.database)
        self._retry(lambda: remove_stale_staging(self._settings.home / STAGING_FOLDER, queue))
        heartbeat = self._retry(lambda: Heartbeat(WorkerTable(registry.database)))
        if heartbeat is None:
            return
        context = JobContext(
            registry=registry,
            queue=queue,
            settings=self._settings,
            worker=heartbeat.worker,
            folder=partial(find_project_folder, named=self._named, registry=registry),
            output=_log_output,
            timings=self._timings,
            stopping=self._stopping,
        )
        runner = JobRunner(context, heartbeat)
        extra = {"worker": heartbeat.worker, "projects": sorted(self._named)}
        try:
            engine = self._retry(runner.engine)
            if engine is not None:
                self._serve(context, runner, engine)
        finally:
            runner.close(STOP_SECONDS / 2)
            _log.info("worker stopped", extra=extra)

    def _serve(self, context: JobContext, runner: JobRunner, engine: "DurableEngine") -> None:
        """Dispatches jobs until stopped; DBOS runs them in threads of its own."""
        from windlass.workflows.execution.dispatcher import Dispatcher

        dispatcher = Dispatcher(context.registry.database, engine, context.worker)
        can_run = partial(self._can_run, context)
        _log.info("worker ready", extra={"worker": context.worker, "projects": sorted(self._named)})

        def turn() -> None:
            dispatcher.dispatch(can_run)
            project = dispatcher.next_project(can_run)
            if project is not None and project != engine.queue:
                engine.listen(project)

        while not self._stopping.is_set():
            runner.remove_old_jobs()
            self._retry(turn)
            self._stopping.wait(POLL_SECONDS)

    def _retry(self, action: Callable[[], T]) -> T | None:
        """Runs `action` again until the database is available; None where the worker is stopped before."""
        logged = ""
        while not self._stopping.is_set():
            try:
                return action()
            except StorageError as error:
                if str(error) != logged:
                    logged = str(error)
                    _log.warning("waiting for the database", extra={"reason": logged})
            self._stopping.wait(self._timings.retry)
        return None

    def _can_run(self, context: JobContext, job: Job) -> bool:
        """Returns whether this worker knows the kind of the job and has its project."""
        is_ours = not self._projects or job.project in self._named
        return is_ours and job.kind in JOB_KINDS and context.folder(job) is not None


def run_worker(
    settings: Settings, projects: Sequence[Path] = (), *, must_exist: bool = False
) -> None:
    """Runs a worker in this process until SIGTERM or SIGINT; it ends within seconds of the signal.

    Where the database `must_exist`, as beside a server, it waits for a missing one and does not create it.
    Call it in the main thread. Raises as `Worker.run` does.
    """
    worker = Worker(settings, projects, must_exist=must_exist)

    def stop(*_: object) -> None:
        worker.stop()
        # an unavailable database does not delay the end
        last = threading.Timer(STOP_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worker.run()


def _find_folder(registry: Registry, target: Path) -> Path:
    """Returns the folder of a project that was named by its folder, or by its name in the registry."""
    if (target / "project.py").is_file():
        return target  # also while the database is away
    return find_folder(registry.declarations(), target)


def _log_output(line: str) -> None:
    """Logs what a project's code printed."""
    if line:
        _log.info("printed in training", extra={"line": line})
