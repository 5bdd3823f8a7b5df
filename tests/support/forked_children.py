"""Processes that a forked `windlass` starts: they are forked too, in place of new interpreters.

Project processes come from the fork server. The workers of a server, and its job worker, are forked from the server
itself, which has to be their parent. The job worker is forked before the server opens a SQLite file, and waits until it
is wanted; one that takes its place later is a new interpreter.
"""

import ctypes
import gc
import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from tests.support import fork_server
from tests.support.fork_server import ForkedProcess
from tests.support.tracking_stores import copy_tracking_stores

_PR_SET_NAME = 15  # linux/prctl.h


def fork_children(server: Path) -> None:
    """Has Windlass fork what it starts in this process."""
    fork_projects(lambda: server)
    _fork_workers()
    _fork_job_worker()
    copy_tracking_stores(server.with_name("mlflow.db"))


def fork_projects(server: Callable[[], Path]) -> None:
    """Has Windlass take the project processes of this process from a fork server."""
    from windlass.workflows.execution import project_process

    def start(command: Sequence[str], **options: Any) -> ForkedProcess:
        streams = [options.pop(name) for name in ("stdin", "stdout", "stderr")]
        return ForkedProcess(server(), command, streams=streams, **options)

    names = {"Popen": start, "PIPE": subprocess.PIPE, "TimeoutExpired": subprocess.TimeoutExpired}
    project_process.subprocess = SimpleNamespace(**names)  # type: ignore[assignment,attr-defined]


@contextmanager
def project_processes() -> Iterator[None]:
    """Has the project processes of this process start as new interpreters, and as before afterwards."""
    from windlass.workflows.execution import project_process

    before = project_process.subprocess  # type: ignore[attr-defined]
    project_process.subprocess = subprocess  # type: ignore[attr-defined]
    yield
    project_process.subprocess = before  # type: ignore[attr-defined]


def _fork_workers() -> None:
    """Has multiprocessing fork the workers of a server, which its method `spawn` starts as new interpreters."""
    from multiprocessing import util

    spawn = util.spawnv_passfds

    def start(path: bytes, arguments: Sequence[Any], passed: Sequence[int]) -> int:
        code = arguments[arguments.index("-c") + 1]
        is_tracker = "spawn_main" not in code  # of resources; it is small
        if is_tracker or _has_open_database():
            return spawn(path, arguments, passed)
        return _fork("spawn_main", ["python", "-c", code, "--multiprocessing-fork"], passed)

    util.spawnv_passfds = start  # type: ignore[assignment]


def _fork_job_worker() -> None:
    """Has a server fork its job worker while it has no SQLite file open."""
    from windlass.cli import worker

    waiting: list[_WaitingProcess] = []
    enter = worker.WorkerProcess.__enter__

    def fork_first(process: worker.WorkerProcess) -> worker.WorkerProcess:
        if not _has_open_database():
            waiting.append(_WaitingProcess("worker"))
        return enter(process)

    def start(
        command: Sequence[str], **options: Any
    ) -> "subprocess.Popen[bytes] | _WaitingProcess":
        return waiting.pop().go(command) if waiting else subprocess.Popen(command, **options)

    names = {"DEVNULL": subprocess.DEVNULL, "TimeoutExpired": subprocess.TimeoutExpired}
    worker.subprocess = SimpleNamespace(Popen=start, **names)  # type: ignore[assignment,attr-defined]
    worker.WorkerProcess.__enter__ = fork_first  # type: ignore[method-assign]


class _WaitingProcess:
    """Fork of this process that waits for a command, which it runs without input in a session of its own.

    It ends where this process ends before. As `subprocess.Popen`, as far as a server uses it.
    """

    def __init__(self, name: str) -> None:
        self.returncode: int | None = None
        self._lock = threading.Lock()
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(self._writer)
            with os.fdopen(reader, encoding="utf-8") as commands:
                text = commands.read()
            if not text:
                os._exit(0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _become_new(name, ())
            fork_server.run_to_end(json.loads(text))
        os.close(reader)
        self._end = os.pidfd_open(self.pid)

    def go(self, command: Sequence[str]) -> Self:
        """Has it run this command."""
        with os.fdopen(self._writer, "w", encoding="utf-8") as commands:
            commands.write(json.dumps(command))
        return self

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        if not select.select([self._end], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired([], timeout or 0)
        with self._lock:
            if self.returncode is None:
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self.returncode


def _has_open_database() -> bool:
    """Returns whether this process has a SQLite file open, whose locks a forked process would take for its own."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it may be closed while we look
            if descriptor.readlink().name.endswith((".db", ".db-wal", ".db-shm")):
                return True
    return False


def _fork(name: str, arguments: Sequence[str], passed: Sequence[int]) -> int:
    """Forks this process, which then runs a command; returns the process number.

    It has nothing else of its parent than the modules, the standard streams and the descriptors that are passed.
    `name` is what `Server.children` finds it by.
    """
    if (pid := os.fork()) == 0:
        _become_new(name, passed)
        fork_server.run_to_end(arguments)
    return pid


def _become_new(name: str, passed: Sequence[int]) -> None:
    """Gives this process the state of a new interpreter."""
    gc.freeze()  # what the parent had open is closed here, and not by the end of an object
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    for first, last in pairwise([2, *sorted(map(int, passed)), os.sysconf("SC_OPEN_MAX")]):
        os.closerange(first + 1, last)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())
