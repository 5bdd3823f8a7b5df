"""The worker process that a server starts beside itself: started again where it ends, ended with the server."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from windlass.errors import WindlassError

FIRST_PAUSE, LONGEST_PAUSE = (
    1.0,
    60.0,
)  # seconds before it is started again, doubling while it keeps failing
STEADY = 30.0  # seconds after which a worker that ends is thought to have been well
TIMEOUT = 15.0  # seconds that a worker may take to end
PARENT_SECONDS = 0.5  # between looks at whether the server is still there

_log = logging.getLogger(__name__)


class WorkerProcess:
    """Keeps `windlass worker` running while it is entered, for the projects in what `folders` returns.

    `folders` is asked until it answers, for the database may be away; for no folders there is no worker.
    """

    def __init__(self, folders: Callable[[], Sequence[str]]) -> None:
        self._folders = folders
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

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
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _keep(self) -> None:
        folders = self._learned()
        pause = FIRST_PAUSE
        while folders:
            began = time.monotonic()
            code = self._run(folders)
            if self._stopping.is_set():
                return
            was_well = time.monotonic() - began > STEADY
            pause = FIRST_PAUSE if was_well else min(pause * 2, LONGEST_PAUSE)
            _log.warning("worker ended", extra={"code": code, "again_in_seconds": pause})
            if self._stopping.wait(pause):
                return

    def _learned(self) -> Sequence[str]:
        """The folders, as soon as they are known; none where the server stops before."""
        pause = FIRST_PAUSE
        while True:
            try:
                return self._folders()
            except WindlassError as error:
                _log.warning("worker waits for the registry", extra={"reason": str(error)})
            if self._stopping.wait(pause):
                return ()
            pause = min(pause * 2, LONGEST_PAUSE)

    def _run(self, folders: Sequence[str]) -> int | None:
        """Start a worker and wait for its end; its exit code."""
        command = [
            sys.executable,
            "-m",
            "windlass",
            "worker",
            *folders,
            "--parent",
            str(os.getpid()),
        ]
        with self._lock:
            if self._stopping.is_set():
                return None
            # a session of its own: Ctrl+C is the server's to hear, which ends the worker in its time
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, start_new_session=True
            )
        return self._process.wait()


def leave_with(parent: int) -> None:
    """Have this process stop once `parent` is not its parent any more: it was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def can_train() -> bool:
    """Whether what a worker needs is installed."""
    return all(find_spec(name) is not None for name in ("dbos", "sklearn", "joblib"))
