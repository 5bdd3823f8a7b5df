"""What a whole run of the tests shares: folders and values made once, by whichever worker process comes first."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.child_process import run

# Runs a command as long as the process that began the tests lives, and then ends its whole group.
_KEEPER = """
import os, signal, subprocess, sys, time
if os.fork():
    os._exit(0)
run, command = int(sys.argv[1]), sys.argv[2:]
child = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
print(child.pid, flush=True)
os.dup2(2, 1)
while child.poll() is None:
    try:
        os.kill(run, 0)
    except ProcessLookupError:
        os.killpg(child.pid, signal.SIGKILL)
        break
    time.sleep(0.1)
"""


class SharedResources:
    """Folder of one test run, with what its worker processes share. Nobody changes what is in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def path(self, name: str, make: Callable[[Path], None]) -> Path:
        """Returns the path of this name; `make` writes it, a file or a folder, where nobody has yet."""
        path = self.folder / name
        if not path.exists():
            with self.lock(name):
                if not path.exists():
                    unfinished = path.with_name(f".unfinished-{name}-{os.getpid()}")
                    make(unfinished)
                    unfinished.rename(path)
        return path

    def value(self, name: str, make: Callable[[], str]) -> str:
        """Returns the text of this name, which `make` returns to the first who wants it."""

        def write(file: Path) -> None:
            file.write_text(make(), "utf-8")

        return self.path(name, write).read_text("utf-8")

    def existing(self, name: str) -> str | None:
        """Returns the text of this name; None where nobody has made it."""
        file = self.folder / name
        return file.read_text("utf-8") if file.exists() else None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Lets one process of the run in at a time; the lock goes with the process that holds it."""
        with (self.folder / f".{name}.lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def start(
        self,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Starts a service that ends with the run, however that ends; returns its process number."""
        keeper = [sys.executable, "-S", "-E", "-c", _KEEPER, str(run_pid()), *command]
        with log.open("wb") as file:
            ended = run(keeper, stderr=file.fileno(), cwd=cwd, env=env, new_group=True)
        return int(ended.check())


def run_pid() -> int:
    """Returns the number of the process that began the tests: this one, or the one that started this worker."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def resources_of(base: Path, *, of_worker: bool) -> SharedResources:
    """Returns the resources of the run to which a base folder for temporary files belongs."""
    return SharedResources((base.parent if of_worker else base) / "shared")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SharedResources:
    """What the whole run shares."""
    base = tmp_path_factory.getbasetemp()
    return resources_of(base, of_worker="PYTEST_XDIST_WORKER" in os.environ)
