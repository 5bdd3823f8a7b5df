"""`windlass worker`, and the worker process that a server starts and supervises."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import typer

from windlass.cli.console import add_command
from windlass.errors import WindlassError
from windlass.logs import set_up_logs
from windlass.settings import Settings

MIN_PAUSE, MAX_PAUSE = 1.0, 60.0  # seconds before a restart, doubled at each failure in a row
STEADY_SECONDS = 30.0  # a worker that ran for longer did not fail at its start
STOP_TIMEOUT = 15.0  # seconds that a worker may take to end
PARENT_POLL_SECONDS = 0.5  # between checks that the server still runs

_log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Adds `worker` to the application."""
    add_command(app, "worker", worker)


def worker(
    projects: list[Path] = typer.Argument(  # noqa: B008 - how Typer declares
        None,
        metavar="[PROJECT]…",
        help="Projects whose jobs it runs, by folder or name.",
        show_default="all registered projects whose folder is on this machine",
    ),
    parent: int = typer.Option(0, hidden=True, help="Process id of the server that started it."),
    home: Path | None = typer.Option(None, hidden=True, help="Home folder of that server."),  # noqa: B008 - as above
) -> None:
    """Run the jobs of projects, which are trainings and pipelines, until stopped.

    A job that runs when the worker stops is left to the next worker, which continues after the last finished step.
    """
    from windlass.workflows.execution.worker import run_worker

    settings = (
        Settings.read(near=projects or ()) if home is None else replace(Settings.read(), home=home)
    )
    set_up_logs(settings.log_level)
    if parent:
        stop_with_parent(parent)
    run_worker(settings, projects or [], must_exist=bool(parent))


class WorkerProcess:
    """Context manager that keeps a `windlass worker` process running, for the projects that `folders` returns.

    `folders` is called until it succeeds, since the database may be unavailable; without folders there is no worker.
    The worker uses the folder `home`, as the server does.
    """

    def __init__(self, folders: Callable[[], Sequence[str]], home: Path) -> None:
        self._folders = folders
        self._home = home.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="worker-keeper", daemon=True)

    def __enter__(self) -> "WorkerProcess":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopping.set()
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _supervise(self) -> None:
        folders = self._wait_for_folders()
        pause = MIN_PAUSE
        while folders:
            began = time.monotonic()
            code = self._run(folders)
            if self._stopping.is_set():
                return
            was_well = time.monotonic() - began > STEADY_SECONDS
            pause = MIN_PAUSE if was_well else min(pause * 2, MAX_PAUSE)
            _log.warning("worker ended", extra={"code": code, "again_in_seconds": pause})
            if self._stopping.wait(pause):
                return

    def _wait_for_folders(self) -> Sequence[str]:
        """Waits for the folders and returns them; none where the server stops before."""
        pause = MIN_PAUSE
        while True:
            try:
                return self._folders()
            except WindlassError as error:
                _log.warning("worker waits for the registry", extra={"reason": str(error)})
            if self._stopping.wait(pause):
                return ()
            pause = min(pause * 2, MAX_PAUSE)

    def _run(self, folders: Sequence[str]) -> int | None:
        """Starts a worker, waits for its end and returns its exit code."""
        command = [
            sys.executable,
            "-m",
            "windlass",
            "worker",
            *folders,
            "--parent",
            str(os.getpid()),
            "--home",
            str(self._home),
        ]
        with self._lock:
            if self._stopping.is_set():
                return None
            # a session of its own: Ctrl+C reaches only the server, which then stops the worker
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, start_new_session=True
            )
        return self._process.wait()


def stop_with_parent(parent: int) -> None:
    """Stops this process once `parent` is no longer its parent, because it was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def is_training_installed() -> bool:
    """Returns whether the packages that a worker needs are installed."""
    return all(find_spec(name) is not None for name in ("dbos", "sklearn", "joblib"))
