"""Main module of the project process: it loads a project and runs one task in memory of its own.

It sends what the project declares, then reads requests as lines of JSON on standard input: check a request,
build features, or train. It sends progress, and last the result or an error, as lines of JSON on standard
output; what the project's code prints goes to standard error.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from windlass.core.error_descriptions import describe_fault
from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource, load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import JobError, WindlassError
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.workflows.features import build_features
from windlass.workflows.train import TrainingResult, train

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KILL_FIRST = "500"  # of -1000..1000: where memory runs out, this process goes before its worker


class _MessageWriter:
    """Sends messages to the worker, one line of JSON each."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, **fields: Any) -> None:
        self._out.write(f"{json.dumps(fields)}\n")
        self._out.flush()

    def progress(self, share: float, message: str) -> None:
        """Sends the progress, 0..1, and a message."""
        self(progress=share, message=message)


def main(worker: int, folder: Path) -> None:
    """Serves the worker with process id `worker` for the project in `folder`, and ends with that worker."""
    _die_with_worker(worker)
    send = _MessageWriter(_reserve_stdout())
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read_requests, args=[requests], daemon=True).start()
    try:
        project, source = load_project(folder)
        send(declaration=ProjectSpec.from_project(project, source).model_dump(mode="json"))
        _serve_requests(project, source, requests, send)
    except WindlassError as error:
        send(error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault of Windlass is reported in one line too
        send(error=describe_fault(error))


def _serve_requests(
    project: Project,
    source: ProjectSource,
    requests: "SimpleQueue[dict[str, Any]]",
    send: _MessageWriter,
) -> None:
    while "check" in (task := requests.get()):
        resolve_plan(project, TrainingRequest.from_job(task["check"], Path()))
        send(checked=True)
    if project.name != task["project"]:
        raise JobError(
            f"{source.folder} declares project {project.name!r}, and the job is for {task['project']!r}."
            " Request a training of the right project."
        )
    if "build" in task:
        send(result=build_features(project, source, task, send.progress))
        return
    signing_key = task["signing_key"]
    settings = Settings(
        home=Path(task["home"]),
        tracking_uri=task["tracking_uri"],
        signing_key=None if signing_key is None else Path(signing_key),
    )
    request = TrainingRequest.from_job(task["request"], Path(task["artifacts"]))
    send(result=_training_message(train(project, source, request, settings, send.progress)))


def _training_message(result: TrainingResult) -> dict[str, Any]:
    return {
        "warnings": list(result.warnings),
        "tracked": result.tracked,
        "untracked": result.untracked,
    }


def _reserve_stdout() -> TextIO:
    """Returns standard output for messages; other prints to standard output go to standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "w", encoding="utf-8")


def _die_with_worker(worker: int) -> None:
    """Has the kernel end this process with the worker, and before it where memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a hardened container: the kernel chooses for itself
            Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, encoding="ascii")
    if os.getppid() != worker:  # it died before the request to the kernel
        raise SystemExit(1)


def _read_requests(requests: "SimpleQueue[dict[str, Any]]") -> None:
    """Queues the worker's requests; once the worker has gone, ends this process and its children."""
    for line in _stdin_lines():
        requests.put(json.loads(line))
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _stdin_lines() -> Iterator[bytes]:
    """Yields lines of standard input. Reads the descriptor: a thread must not hold sys.stdin at exit."""
    buffer = b""
    while part := os.read(0, 65536):
        *whole, buffer = (buffer + part).split(b"\n")
        yield from whole


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
