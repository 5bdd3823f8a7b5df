"""The process in which a worker has one piece of work done: fresh code, its own memory, and an end that harms nobody.

It is given a folder, tells what the project there declares, and then does what lines of JSON on standard
input ask for: check a request, build features, or train. It tells progress, and last the result or an error,
as lines of JSON on standard output; what the project's code prints goes to standard error.
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

from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource, describe_error, load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import JobError, WindlassError
from windlass.settings import Settings
from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE, TrainingRequest, resolve_plan
from windlass.workflows.features import build_features
from windlass.workflows.train import TrainingResult, train

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_KILL_FIRST = "500"  # of -1000..1000: where memory runs out, this process goes before its worker


class _Teller:
    """Tells the worker, one line of JSON at a time."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, **news: Any) -> None:
        self._out.write(f"{json.dumps(news)}\n")
        self._out.flush()

    def progress(self, share: float, message: str) -> None:
        """How far the training has come."""
        self(progress=share, message=message)


def main(worker: int, folder: Path) -> None:
    """Work on the project in `folder` for the worker process `worker`, and die with it."""
    _end_with(worker)
    tell = _Teller(_own_output())
    asked: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=[asked], daemon=True).start()
    try:
        project, source = load_project(folder)
        tell(declaration=ProjectSpec.from_project(project, source).model_dump(mode="json"))
        _carry_out(project, source, asked, tell)
    except WindlassError as error:
        tell(error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours, told in a line like any other
        tell(
            error=f"Unexpected {describe_error(error)}. This is a fault of Windlass; please report it."
        )


def _carry_out(
    project: Project, source: ProjectSource, asked: "SimpleQueue[dict[str, Any]]", tell: _Teller
) -> None:
    while "check" in (task := asked.get()):
        resolve_plan(project, _request(task["check"], Path()))
        tell(checked=True)
    if project.name != task["project"]:
        raise JobError(
            f"{source.folder} declares project {project.name!r}, and the job is for {task['project']!r}."
            " Ask for a training of the one that is meant."
        )
    if "build" in task:
        tell(result=build_features(project, source, task, tell.progress))
        return
    settings = Settings(home=Path(task["home"]), tracking_uri=task["tracking_uri"])
    request = _request(task["request"], Path(task["artifacts"]))
    tell(result=_told_of(train(project, source, request, settings, tell.progress)))


def _request(asked: dict[str, Any], artifacts: Path) -> TrainingRequest:
    data = asked.get("data")
    return TrainingRequest(
        artifacts=artifacts,
        model=asked.get("model"),
        hyperparameters=asked.get("hyperparameters") or {},
        seed=asked.get("seed", DEFAULT_SEED),
        test_size=asked.get("test_size", DEFAULT_TEST_SIZE),
        track=asked.get("track", True),
        data=None if data is None else Path(data),
        snapshot=asked.get("snapshot"),
    )


def _told_of(result: TrainingResult) -> dict[str, Any]:
    return {
        "warnings": list(result.warnings),
        "tracked": result.tracked,
        "untracked": result.untracked,
    }


def _own_output() -> TextIO:
    """Standard output for us alone: whatever else prints there comes out on standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "w", encoding="utf-8")


def _end_with(worker: int) -> None:
    """Have the kernel end this process with the worker, and before it where memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # a hardened container: the kernel chooses for itself
            Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, encoding="ascii")
    if os.getppid() != worker:  # it died before we could ask
        raise SystemExit(1)


def _listen(asked: "SimpleQueue[dict[str, Any]]") -> None:
    """Hand on what the worker asks; once it has gone, end this process and whatever it started."""
    for line in _lines():
        asked.put(json.loads(line))
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _lines() -> Iterator[bytes]:
    """The lines of standard input, by a bare descriptor: a thread may not hold sys.stdin at the end."""
    rest = b""
    while part := os.read(0, 65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
