"""A worker: a process that takes jobs from the desk and carries them out, one at a time, until it is stopped.

A stop gives a running training up at once: it goes back to the queue, and the next worker begins from the
last step that was finished.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from windlass.errors import ProjectError, StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobQueue
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.workflows.execution.context import (
    RETRY_SECONDS,
    STAGING_FOLDER,
    JobContext,
    find_project_folder,
    remove_stale_staging,
)
from windlass.workflows.execution.project_process import read_declaration
from windlass.workflows.execution.runner import JOB_KINDS, Heartbeat, JobRunner

POLL_SECONDS = 0.25  # between looks at the desk
STOP_SECONDS = 8.0  # after which a stop waits for nothing any more

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Worker:
    """Carries out the jobs of the projects in `folders`, or of every project whose folder is here."""

    def __init__(
        self, settings: Settings, folders: Sequence[Path] = (), *, must_exist: bool = False
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._must_exist = must_exist
        self._named: dict[str, Path] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have `run` return soon."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped, and through every outage of the database.

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
        """Read the projects named, each in a process of its own, and have the registry know them."""
        why = ""
        for folder in self._folders:
            try:
                found = read_declaration(folder, _printed)
            except ProjectError as error:
                why = str(error)
                _log.error("project not read", extra={"folder": str(folder), "reason": why})
                continue
            self._named[found.name] = Path(found.folder)
            self._retry(partial(registry.declare, found))
        if why and not self._named:
            raise ProjectError(why)

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
            output=_printed,
            stopping=self._stopping,
        )
        runner = JobRunner(context, heartbeat)
        _log.info(
            "worker ready", extra={"worker": heartbeat.worker, "projects": sorted(self._named)}
        )
        try:
            while not self._stopping.is_set():
                self._take_one(context, runner)
        finally:
            runner.close()
            _log.info("worker stopped", extra={"worker": heartbeat.worker})

    def _take_one(self, context: JobContext, runner: JobRunner) -> None:
        """Carry out the next job, or wait a little where there is none."""
        self._retry(runner.engine)
        runner.remove_old_jobs()
        job = self._retry(lambda: context.queue.claim(context.worker, partial(self._able, context)))
        if job is None:
            self._stopping.wait(POLL_SECONDS)
            return
        try:
            runner.run(job)
        except StorageError as error:
            _log.warning("job put back", extra={"job": job.id, "reason": str(error)})
            self._stopping.wait(RETRY_SECONDS)

    def _retry(self, action: Callable[[], T]) -> T | None:
        """What `action` returns, as soon as the database is there; None where we are stopped before."""
        told = ""
        while not self._stopping.is_set():
            try:
                return action()
            except StorageError as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("waiting for the database", extra={"reason": told})
            self._stopping.wait(RETRY_SECONDS)
        return None

    def _able(self, context: JobContext, job: Job) -> bool:
        """Whether this worker can carry a job out: it is of a kind that we know, and its project is here."""
        is_ours = not self._folders or job.project in self._named
        return is_ours and job.kind in JOB_KINDS and context.folder(job) is not None


def run_worker(
    settings: Settings, folders: Sequence[Path] = (), *, must_exist: bool = False
) -> None:
    """The whole of a worker process: work until SIGTERM or SIGINT, and end within seconds of it.

    Where the database `must_exist`, as beside a server, one that is not there is waited for, not made.
    To be called in a process's main thread. Raises as `Worker.run` does.
    """
    worker = Worker(settings, folders, must_exist=must_exist)

    def stop(*_: object) -> None:
        worker.stop()
        last = threading.Timer(
            STOP_SECONDS, os._exit, [0]
        )  # a database that is away holds nobody up
        last.daemon = True
        last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worker.run()


def _printed(line: str) -> None:
    """Log what a project's code printed."""
    if line:
        _log.info("printed in training", extra={"line": line})
