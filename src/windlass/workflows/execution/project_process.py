"""A training in a process of its own, seen from the worker: started, listened to, and ended with all it started."""

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

from windlass.core.project_spec import ProjectSpec
from windlass.errors import ParameterError, ProjectError
from windlass.training.plan import ProgressCallback, ignore_progress

_TERM_SECONDS = 3.0  # that a process gets to end, before it is killed
_LAST_SECONDS = 1.0
_POLL_SECONDS = 0.2
_TAIL = 5  # lines of standard error that may say why it died

OutputCallback = Callable[[str], None]


@dataclass(frozen=True)
class TrainTask:
    """A training: of which project, as what request (see `windlass.jobs`), staged and tracked where."""

    project: str
    request: dict[str, Any]
    artifacts: str
    home: str
    tracking_uri: str | None = None


@dataclass(frozen=True)
class BuildTask:
    """A build of features: of which project, as what request (see `windlass.workflows.pipeline_job`), staged where."""

    project: str
    build: dict[str, Any]
    staging: str
    home: str


ProcessTask = TrainTask | BuildTask


class ProjectProcess:
    """The process, for the project in `folder`. It reads the project at once, and does one task when it is asked to.

    `output` is called, from another thread, with each line that the project's code prints.
    """

    def __init__(self, folder: Path, output: OutputCallback) -> None:
        self._output = output
        self._news = threading.Condition()
        self._tail: deque[str] = deque(maxlen=_TAIL)
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
            threading.Thread(target=target, daemon=True) for target in (self._listen, self._relay)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether there is a result or an error."""
        return self.result is not None or self.error is not None

    def declared(self) -> ProjectSpec:
        """What the project declares. Raises ProjectError where it cannot be read."""
        self._await(lambda: self.declaration is not None)
        if self.declaration is None:
            raise ProjectError(self.error or "")
        return self.declaration

    def check(self, request: dict[str, Any]) -> None:
        """Raise ParameterError where the project cannot be trained as the request asks."""
        self._checked = False
        self._ask({"check": request})
        self._await(lambda: self._checked)
        if not self._checked:
            raise ParameterError(self.error or "")

    def begin(self, task: ProcessTask, progress: ProgressCallback = ignore_progress) -> None:
        """Have the task done; `progress` is called, from another thread, as it comes on."""
        self._progress = progress
        self._ask(asdict(task))

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for a result or an error; whether there is one."""
        return self._wait_for(lambda: self.has_ended, seconds)

    def close(self) -> None:
        """End the process and whatever it started; one that has told its result ends by itself meanwhile."""
        if self._closed:
            return
        self._closed = True
        if self.has_ended:
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

    def _await(self, done: Callable[[], bool]) -> None:
        """Return once `done`, or there is an error."""
        while not self._wait_for(lambda: done() or self.has_ended, _POLL_SECONDS):
            pass

    def _wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        with self._news:
            self._news.wait_for(done, seconds)
        code = self._process.poll()
        if code is not None and not self.has_ended:
            for thread in self._threads:  # not for ever: what it started may still hold the pipes
                thread.join(_LAST_SECONDS)
            if not self.has_ended:
                self.error = _why(code, [line for line in self._tail if line])
        return done()

    def _ask(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died meanwhile: `error` will say so
            self._process.stdin.write(f"{json.dumps(message)}\n".encode())
            self._process.stdin.flush()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nothing of the group is left
            os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                news = json.loads(line)
            except ValueError:  # a project that writes to descriptors that it did not open
                self._output(line.decode("utf-8", "replace").rstrip())
                continue
            if isinstance(news, dict):
                self._take(news)
        with self._news:
            self._news.notify_all()

    def _take(self, news: dict[str, Any]) -> None:
        if "progress" in news:
            self._progress(news["progress"], news["message"])
        with self._news:
            if "declaration" in news:
                self.declaration = ProjectSpec.model_validate(news["declaration"])
            self._checked = news.get("checked", self._checked)
            self.result = news.get("result", self.result)
            self.error = news.get("error", self.error)
            self._news.notify_all()

    def _relay(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._tail.append(text)
            self._output(text)


def read_declaration(folder: Path, output: OutputCallback) -> ProjectSpec:
    """What the project in `folder` declares, read in a process of its own. Raises ProjectError."""
    with ProjectProcess(folder, output) as trainer:
        return trainer.declared()


def _why(code: int, tail: list[str]) -> str:
    """Why a process ended that told neither a result nor an error."""
    last = f" The last that it printed: {tail[-1][:300]}" if tail else ""
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
