"""Pins processes to cores: the server to one core, the load to another."""

import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

HOST = "127.0.0.1"
START_LIMIT = 120.0  # seconds


class BenchmarkError(Exception):
    """A measurement is not possible or not valid; the message says why."""


@dataclass(frozen=True)
class Server:
    """A server to compare: how to start it, and how to request a prediction.

    `{port}` in the command and the environment stands for the port. A correct response to `body` contains `expect`.
    `key`, if there is one, is sent as X-API-Key. With `ids`, the load appends them to the path, one after another.
    """

    name: str
    command: tuple[str, ...]
    body: str
    expect: str = "setosa"
    ready: str = "/health"
    predict: str = "/predict"
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    key: str = ""
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Running:
    """A running server: its URL, the seconds that it took to start, and its process."""

    server: Server
    port: int
    pid: int
    started_in: float

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Posts a body and returns that of the response. Raises BenchmarkError unless the status is 200."""
        connection = HTTPConnection(HOST, self.port, timeout=120)
        try:
            key = {"X-API-Key": self.server.key} if self.server.key else {}
            connection.request("POST", path, body, {**headers, **key})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise BenchmarkError(f"{self.server.name} answered {answer.status}: {content[:300]!r}")
        return content

    def memory(self) -> float:
        """Returns the resident memory of the process and all its descendants, in MB."""
        return sum(map(_resident, _descendants(self.pid))) / 1e6

    def memory_shares(self) -> dict[int, int]:
        """Returns the proportional memory (PSS) of the process and each of its descendants, in bytes."""
        shares = {}
        for pid in _descendants(self.pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                shares[pid] = next(
                    int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")
                )
        return shares


def split_cores() -> tuple[int, int]:
    """Returns a core for the server and one for the load; this process moves to the second."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("One core for the server and one for the load are needed; found one.")
    os.sched_setaffinity(0, {cores[1]})
    return cores[0], cores[1]


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Context in which started processes run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(server: Server, core: int, log: Path) -> Iterator[Running]:
    """Starts the server on `core`, waits until it answers correctly, and ends it afterwards."""
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in server.command]
    environment = {
        key: value.replace("{port}", str(port)) for key, value in server.environment.items()
    }
    with log.open("wb") as output:
        with on_cores({core}):
            begun = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=server.folder,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _await(server, process, port)
            up = Running(server, port, process.pid, time.perf_counter() - begun)
            answer = up.post(
                server.predict, server.body.encode(), {"Content-Type": "application/json"}
            )
            if server.expect.encode() not in answer:
                raise BenchmarkError(f"{server.name} answered {answer[:300]!r}")
            yield up
        except BenchmarkError as error:
            raise BenchmarkError(f"{error} Its log ends:\n{_tail(log)}") from error
        finally:
            _end(process)


def describe() -> dict[str, str | int]:
    """Describes the machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next((line for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return {
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _await(server: Server, process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.perf_counter() + START_LIMIT
    while time.perf_counter() < deadline and process.poll() is None:
        connection = HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", server.ready)
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.005)
    raise BenchmarkError(f"{server.name} did not start (exit code {process.poll()}).")


def _tail(log: Path) -> str:
    with log.open("rb") as content:
        content.seek(max(0, log.stat().st_size - 3000))
        return content.read().decode(errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # workers whose parent has ended


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # the list grows during the iteration
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
