"""A real `windlass serve` on a free port of this machine, for tests that speak HTTP to it."""

import json
import os
import random
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.support.child_process import POLL, TIMEOUT, WINDLASS, ChildProcess, Command

__all__ = ["TIMEOUT"]  # beside what is defined here

FIRST_PORT = 10_000  # below it services listen
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
HELD = 64  # ports that a process keeps to itself at a time

_held = deque[socket.socket]()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now, nor takes until a server of ours does.

    It is none that the system gives to outgoing connections, where it says which those are, and none that another
    process of tests was given lately: whoever is given one holds its UDP namesake.
    """
    for wanted in _ports():
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", wanted))
                port: int = listener.getsockname()[1]
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        _held.append(holder)
        if len(_held) > HELD:
            _held.popleft().close()
        return port
    raise AssertionError("no free port")


def _ports() -> Iterator[int]:
    """Ports to try. 0 leaves the choice to the system."""
    chance = random.SystemRandom()  # no test's seed makes two processes choose alike
    try:
        last = int(EPHEMERAL.read_text().split()[0]) - 1
    except (OSError, ValueError):
        last = 0
    for _ in range(100):
        yield chance.randint(FIRST_PORT, last) if last > FIRST_PORT + 1000 else 0


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment, less what would change a server, with `home` as WINDLASS_HOME."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WINDLASS_", "AIP_", "SAGEMAKER_"))
    }
    return variables | {"WINDLASS_HOME": str(home)} | more


class Server:
    """A server process and what it logs. `wait_ready` before the first request; `stop` at the end."""

    def __init__(
        self,
        command: Command,
        port: int,
        home: Path,
        variables: Mapping[str, str],
        folder: Path | None = None,
        warm: bool | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.port, self.home = port, home
        self.url = f"http://127.0.0.1:{port}"
        self.log = home / "stderr.log"
        self.process = ChildProcess(
            command,
            env=environment(home, **variables),
            cwd=folder or home,
            log=self.log,
            new_group=True,
            warm=warm,
        )
        self.client = httpx.Client(base_url=self.url, timeout=TIMEOUT)

    @classmethod
    def of(
        cls, *bundles: Path, home: Path, options: Sequence[str] = (), **variables: str
    ) -> "Server":
        """`windlass serve` of these bundles; keywords are environment variables."""
        port = free_port()
        command = [WINDLASS, "serve", *bundles, "--port", port, *options]
        return cls(command, port, home, variables)

    def wait(self, path: str = "/readyz", status: int = 200) -> "Server":
        """Return once `path` answers with `status`."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if not self.process.is_running:
                raise AssertionError(f"the server ended: {self.log.read_text()}")
            try:
                if self.client.get(path).status_code == status:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(POLL)  # nothing reports a port that begins to listen
        raise AssertionError(f"{path} never answered {status}: {self.log.read_text()}")

    def connect(self) -> "Connection":
        """A bare connection, for what no proper client would send."""
        return Connection.to(self.port)

    def raw(self, request: bytes) -> "RawAnswer":
        """The answer to these very bytes."""
        with self.connect() as connection:
            connection.sendall(request)
            return connection.answer()

    def signal(self, number: int) -> None:
        """Send a signal to the server's first process."""
        self.process.signal(number)

    def signal_all(self, number: int) -> None:
        """Send a signal to all of the server's processes, as a terminal does."""
        self.process.signal_group(number)

    def children(self, command: str) -> set[int]:
        """The processes that the server started and that run, by a part of their names or command lines."""
        pids = []
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it may end while we look
                pids += [int(pid) for pid in (thread / "children").read_text().split()]
        return {pid for pid in pids if command in _command(pid)}

    def exit_code(self, timeout: float = TIMEOUT) -> int:
        """The exit code, once the server has ended."""
        return self.process.wait(timeout)

    def stop(self) -> int:
        """Stop the server as an orchestrator would; kill it where it does not."""
        self.client.close()
        return self.process.stop()

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What was logged so far, of one event or of all."""
        return logged(self.log, event)


Serve = Callable[..., Server]


def logged(log: Path, event: str = "") -> list[dict[str, Any]]:
    """The lines of a log, every one parsed, or those of an event. One that is still being written is left out."""
    whole = log.read_bytes().split(b"\n")[:-1]
    lines = [json.loads(line) for line in whole if event.encode() in line]
    return [line for line in lines if event in ("", line["event"])]


def _command(pid: int) -> str:
    """The name and the command line of a process; empty where it has ended."""
    try:
        name, words = (Path(f"/proc/{pid}/{file}").read_text() for file in ("comm", "cmdline"))
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return f"\0{name.strip()}\0{words}"


@dataclass(frozen=True)
class RawAnswer:
    """Status, headers (lower case) and body of an answer that came over a bare connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def comparable(answer: RawAnswer) -> tuple[int, dict[str, str], str]:
    """Status, headers and body without what differs between two answers to the same request: times and ids."""
    headers = answer.headers | dict.fromkeys(_VARYING & answer.headers.keys(), "")
    headers["server-timing"] = re.sub(r"[0-9.]+", "0", answer.headers["server-timing"])
    headers["x-request-id"] = _ID.sub("id", answer.headers["x-request-id"])
    body = re.sub(r'("latency_ms":)[0-9.e-]+', r"\1 0", answer.body.decode())
    return answer.status, headers, _ID.sub("id", body)


_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}")
_VARYING = {"date", "content-length", "ratelimit"}


class Connection(socket.socket):
    """A bare connection, for what no proper client would send."""

    @classmethod
    def to(cls, port: int) -> "Connection":
        """A connection to this port of the loopback interface."""
        connection = cls()
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(("127.0.0.1", port))
        except OSError:
            connection.close()
            raise
        return connection

    def answer(self) -> RawAnswer:
        """The next answer, and not a byte of what follows it. Raises EOFError where there is none."""
        status_line, *lines = self._head().decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length")
        body = self.rest() if length is None else self._exactly(int(length))
        return RawAnswer(int(status_line.split()[1]), headers, body)

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        return b"".join(iter(lambda: self.recv(65536), b""))

    def _head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        return head[:-4]

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            part = self.recv(size - len(content))
            if not part:
                raise EOFError(f"the connection ended after {content!r}")
            content += part
        return content


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A POST request as bytes, of JSON unless `headers` say otherwise."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    if not any(line.lower().startswith("content-type:") for line in headers):
        lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


FLOWER: dict[str, Any] = {
    "sepal_length": 5.1,
    "sepal_width": 3.5,
    "petal_length": 1.4,
    "petal_width": 0.2,
}
OTHER_FLOWER: dict[str, Any] = {
    "sepal_length": 6.7,
    "sepal_width": 3.0,
    "petal_length": 5.2,
    "petal_width": 2.3,
}
SPECIES = ["setosa", "versicolor", "virginica"]
LOAN: dict[str, Any] = {
    "income": 16106.26,
    "age": 25,
    "children": None,
    "employed": None,
    "grade": "A",
    "housing": "rent",
    "city": "Köln",
    "opened": "2000-03-09",
}
