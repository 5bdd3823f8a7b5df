"""Child process that runs a project's code, as the worker controls it: start, messages, end of its process group."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from windlass.core.progress import ProgressCallback, ignore_progress
from windlass.core.project_spec import ProjectSpec
from windlass.errors import ParameterError, ProjectError

_TERM_SECONDS = 3.0  # that a process gets to end, before it is killed
_DRAIN_SECONDS = 1.0
_POLL_SECONDS = 0.2
_TAIL_LINES = 5  # lines of standard error that may say why it died

OutputCallback = Callable[[str], None]


@dataclass(frozen=True)
class TrainTask:
    """A training in a project process: the request of the job, and where to stage and track it."""

    project: str
    request: dict[str, Any]
    artifacts: str
    home: str
    tracking_uri: str | None = None
    signing_key: str | None = None  # file of the key that signs the bundle


@dataclass(frozen=True)
class BuildTask:
    """A feature build in a project process: its options (see `pipeline_job`), and where to stage it."""

    project: str
    build: dict[str, Any]
    staging: str
    home: str


ProcessTask = TrainTask | BuildTask


class ProjectProcess:
    """Process with the project in `folder`.

    It loads the project at once, and runs one task on request.

    `output` is called, in another thread, with each line that the project's code prints.
    """

    def __init__(self, folder: Path, output: OutputCallback) -> None:
        self.output = output
        self._changed = threading.Condition()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._progress: ProgressCallback = ignore_progress
        self._checked = False
        self._closed = False
        self.declaration: ProjectSpec | None = None
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        module = "windlass.workflows.execution.project_process_main"
        # -P: what lies in the current folder is not ours to import
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", module, str(os.getpid()), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._read_messages, self._relay_output)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_finished(self) -> bool:
        """Whether there is a result or an error."""
        return self.result is not None or self.error is not None

    @property
    def was_killed(self) -> bool:
        """Whether it was killed from outside, as where memory runs out, before there was a result."""
        return self.result is None and self._process.poll() == -signal.SIGKILL

    def read_spec(self) -> ProjectSpec:
        """Returns what the project declares. Raises ProjectError where it cannot be read."""
        self._wait_until(lambda: self.declaration is not None)
        if self.declaration is None:
            raise ProjectError(self.error or "")
        return self.declaration

    def check_request(self, request: dict[str, Any]) -> None:
        """Raises ParameterError where the project cannot be trained with this request."""
        self._checked = False
        self._send({"check": request})
        self._wait_until(lambda: self._checked)
        if not self._checked:
            raise ParameterError(self.error or "")

    def start(self, task: ProcessTask, progress: ProgressCallback = ignore_progress) -> None:
        """Starts the task; `progress` is called in another thread."""
        self._progress = progress
        self._send(asdict(task))

    def wait(self, seconds: float) -> bool:
        """Waits at most so long for a result or an error; returns whether there is one."""
        return self._wait_for(lambda: self.is_finished, seconds)

    def close(self) -> None:
        """Ends the process and its children; one with a result ends by itself, in the background."""
        if self._closed:
            return
        self._closed = True
        if self.is_finished:
            threading.Thread(target=self._end, daemon=True).start()
        else:
            self._signal(signal.SIGTERM)
            self._end()

    def __enter__(self) -> "ProjectProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        try:
            self._process.wait(_TERM_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()
        for thread in self._threads:
            thread.join(_TERM_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _wait_until(self, done: Callable[[], bool]) -> None:
        """Returns once `done` is true, or there is an error."""
        while not self._wait_for(lambda: done() or self.is_finished, _POLL_SECONDS):
            pass

    def _wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            self._changed.wait_for(done, seconds)
        code = self._process.poll()
        if code is not None and not self.is_finished:
            for thread in self._threads:  # with a limit: its children may still hold the pipes
                thread.join(_DRAIN_SECONDS)
            if not self.is_finished:
                self.error = _exit_reason(code, [line for line in self._tail if line])
        return done()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: `error` will say so
            self._process.stdin.write(f"{json.dumps(message)}\n".encode())
            self._process.stdin.flush()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
            os.killpg(self._process.pid, number)

    def _read_messages(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:  # a project that writes to file descriptor numbers directly
                self.output(line.decode("utf-8", "replace").rstrip())
                continue
            if isinstance(message, dict):
                self._handle_message(message)
        with self._changed:
            self._changed.notify_all()

    def _handle_message(self, message: dict[str, Any]) -> None:
        if "progress" in message:
            self._progress(message["progress"], message["message"])
        with self._changed:
            if "declaration" in message:
                self.declaration = ProjectSpec.model_validate(message["declaration"])
            self._checked = message.get("checked", self._checked)
            self.result = message.get("result", self.result)
            self.error = message.get("error", self.error)
            self._changed.notify_all()

    def _relay_output(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._tail.append(text)
            self.output(text)


def read_declaration(folder: Path, output: OutputCallback) -> ProjectSpec:
    """Reads what the project in `folder` declares, in a child process. Raises ProjectError."""
    with ProjectProcess(folder, output) as process:
        return process.read_spec()


def _exit_reason(code: int, tail: list[str]) -> str:
    """Returns why a process ended without sending a result or an error."""
    last = f" Last line of its output: {tail[-1][:300]}" if tail else ""
    if code == -signal.SIGKILL:
        return (
            "The training process was killed, as happens where memory runs out."
            f" Train on a machine with more memory, on less data, or with a smaller model.{last}"
        )
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            return (
                f"The training process was ended by {name}. Look for what sent or raised it.{last}"
            )
    return (
        f"The training process ended with code {code} and without a result. Look in the project's code"
        f" for what leaves the process.{last}"
    )
