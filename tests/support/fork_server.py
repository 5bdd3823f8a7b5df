"""Fork server of the tests: it has imported what a command imports, and forks a process for each command.

Most of a short command's time goes into its imports. Outside CI, tests start `windlass` and the processes of
projects from such a server; in CI, and where a test asks for it, each is a new interpreter.

As a script it is the server: `fork_server.py SOCKET`. A client sends the arguments, the environment and
the three standard streams over the socket, and gets the process number, then the exit code. Shell scripts are such
clients too, by `fork_server.py --run`.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tests.support.shared_resources import SharedResources

# What `windlass`, projects and their trainings import. Neither ONNX Runtime, whose threads a forked process would
# lack, nor DuckDB, which reports as leaks what the frozen collector leaves.
_PACKAGES = (
    "auth",
    "cli",
    "control",
    "jobs",
    "monitoring",
    "registry",
    "serving",
    "storage",
    "tables",
)
MODULES = [
    "windlass.app",
    *(f"windlass.{name}.*" for name in (*_PACKAGES, "training", "web", "workflows")),
    *(
        "windlass.engines.native",
        "windlass.features.ingest.contract",
        "windlass.features.ingest.casting",
    ),
    *("cloudpickle", "joblib", "narwhals", "onnx", "pandas", "pandera.polars", "polars"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline"),
    *("sklearn.calibration", "sklearn.datasets"),
    *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "dbos._sys_db_sqlite"),
    *("alembic.command", "alembic.autogenerate", "mako.template", "mako.exceptions"),
    *("rich.traceback", "typer.rich_utils"),  # how a usage error is shown
]

_SHELL_COMMANDS = (".venv/bin/windlass", ".venv/bin/python")
_MAX_MESSAGE = 1 << 17
_FLUSH_FAILED = 120  # exit code of Python where its standard streams cannot be flushed
_POLL = 0.01
_START_SECONDS = 60.0


class ForkServer:
    """The server of a run of the tests, started by whoever needs it first."""

    def __init__(self, shared: "SharedResources") -> None:
        self._shared = shared

    def start(self, command: Sequence[str], **options: Any) -> "ForkedProcess":
        """Starts a command; the processes that it starts are forked too."""
        return ForkedProcess(self.socket(), command, **options)

    def socket(self) -> Path:
        """Returns the server's socket, once it listens."""
        return Path(self._shared.value("fork-server", self._start))

    def shell_functions(self) -> str:
        """Returns functions of bash that run `.venv/bin/windlass` and `.venv/bin/python` in forked processes."""
        run = self._run_command()
        return "".join(f'{name}() {{ {run} {name} "$@"; }}\n' for name in _SHELL_COMMANDS)

    def interpreter(self, folder: Path) -> Path:
        """Makes a folder of programs: `python`, which it returns, and a `windlass` that runs in forked processes."""
        folder.mkdir()
        windlass, run = Path(sys.executable).with_name("windlass"), self._run_command()
        command = folder / "windlass"
        command.write_text(f'#!/bin/sh\nexec {run} {shlex.quote(str(windlass))} "$@"\n')
        command.chmod(0o755)
        (folder / "python").symlink_to(sys.executable)
        return folder / "python"

    def _run_command(self) -> str:
        return shlex.join([sys.executable, __file__, "--run", str(self.socket())])

    def _start(self) -> str:
        path = self._shared.folder / "fork-server.socket"
        command = [sys.executable, __file__, str(path)]
        self._shared.start(command, path.with_suffix(".log"))
        deadline = time.monotonic() + _START_SECONDS
        while not path.exists():
            assert time.monotonic() < deadline, f"{command} makes no socket"
            time.sleep(_POLL)
        return str(path)


class ForkedProcess:
    """Process that a fork server started: what tests and Windlass use of `subprocess.Popen`.

    A stream is PIPE, DEVNULL or a file descriptor.
    """

    def __init__(
        self,
        server: Path,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        streams: Sequence[int] = (subprocess.PIPE, subprocess.PIPE, subprocess.PIPE),
        text: bool = False,
        start_new_session: bool = False,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(str(server))
        request = {
            "arguments": list(arguments),
            "environment": dict(os.environ if env is None else env),
            "folder": str(cwd or Path.cwd()),
            "new_session": start_new_session,
            "server": str(server),
        }
        ours, theirs = zip(*map(_open_stream, range(3), streams), strict=True)
        socket.send_fds(self._connection, [json.dumps(request).encode()], theirs)
        self.pid = int(self._connection.recv(_MAX_MESSAGE))
        for descriptor in theirs:
            os.close(descriptor)
        files = [_as_file(number, mode, text) for number, mode in zip(ours, "wrr", strict=True)]
        self.stdin, self.stdout, self.stderr = files

    def poll(self) -> int | None:
        """Returns the exit code, as subprocess gives it; None while it runs."""
        with self._lock:
            if self.returncode is None:
                with suppress(BlockingIOError):
                    self.returncode = int(
                        self._connection.recv(_MAX_MESSAGE, socket.MSG_DONTWAIT) or b"-9"
                    )
                    self._connection.close()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            time.sleep(_POLL)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)


def _open_stream(number: int, stream: int) -> tuple[int | None, int]:
    """Returns our end of a standard stream, if it is a pipe, and that of the process."""
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    if stream != subprocess.PIPE:
        return None, os.dup(stream)
    reader, writer = os.pipe()
    return (writer, reader) if number == 0 else (reader, writer)


def _as_file(descriptor: int | None, mode: str, text: bool) -> IO[Any] | None:
    if descriptor is None:
        return None
    return (
        os.fdopen(descriptor, mode, encoding="utf-8") if text else os.fdopen(descriptor, f"{mode}b")
    )


class _Request:
    """Command that a client wants to have run, with its three standard streams."""

    def __init__(self, fields: dict[str, Any], streams: list[int]) -> None:
        self._fields, self._streams = fields, streams

    def close(self) -> None:
        """Closes the streams in the server."""
        for descriptor in self._streams:
            os.close(descriptor)

    def become(self) -> NoReturn:
        """Makes this new process what the request wants, and runs the command in it."""
        for number, descriptor in enumerate(self._streams):
            os.dup2(descriptor, number)
        self.close()
        if self._fields["new_session"]:
            os.setsid()
        os.chdir(self._fields["folder"])
        os.environ.clear()
        os.environ.update(self._fields["environment"])
        time.tzset()
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [entry for entry in path if entry and entry not in sys.path]
        _open_standard_streams()
        forked_children = import_module("tests.support.forked_children")
        forked_children.fork_children(Path(self._fields["server"]))
        run_to_end(self._fields["arguments"])


def _open_standard_streams() -> None:
    options: dict[str, Any] = {"encoding": "utf-8", "closefd": False}
    sys.stdin = sys.__stdin__ = os.fdopen(0, **options)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", **options)  # type: ignore[misc]
    options |= {"errors": "backslashreplace", "buffering": 1}
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", **options)  # type: ignore[misc]


def run_to_end(arguments: Sequence[str]) -> NoReturn:
    """Runs a command and ends this process as an interpreter does, except that it frees nothing.

    To free all objects would first copy the memory that they share with the process that forked this one.
    """
    code: object = 0
    try:
        run(arguments)
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as no public name does
    atexit._run_exitfuncs()
    os._exit((code or 0) & 0xFF if _flush() else _FLUSH_FAILED)


def _flush() -> bool:
    """Writes what the standard streams hold; returns whether that is possible."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it, or it is closed
            return False
    return True


def run(arguments: Sequence[str]) -> None:
    """Runs `windlass …`, or `python` with code, a module or a script, as the main module of this process."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    if arguments[1] == "-c":
        sys.argv = ["-c", *arguments[3:]]
        sys.path.insert(0, "")
        exec(compile(arguments[2], "<string>", "exec"), main.__dict__)
    elif arguments[1:3] == ["-P", "-m"]:
        worker = str(os.getppid())  # whoever forked it is its parent: it ends with standard input
        sys.argv = [arguments[3], worker, *arguments[5:]]
        sys.modules.pop(arguments[3], None)
        runpy.run_module(arguments[3], run_name="__main__", alter_sys=True)
    elif arguments[1] == "-m":
        sys.argv = list(arguments[2:])
        sys.path.insert(0, "")
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)
    elif arguments[1].endswith(".py"):
        sys.argv = list(arguments[1:])
        sys.path.insert(0, str(Path(arguments[1]).resolve().parent))
        runpy.run_path(arguments[1], run_name="__main__")
    else:
        from windlass.cli.main import main as windlass

        main.__file__ = arguments[0]
        sys.argv = list(arguments)
        sys.path.insert(0, str(Path(arguments[0]).parent))
        sys.exit(windlass())  # type: ignore[func-returns-value]


def _import(name: str) -> None:
    """Imports a module, or with `.*` all modules of a package."""
    package = import_module(name.removesuffix(".*"))
    if name.endswith(".*"):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name:  # Alembic runs these
                import_module(module.name)


def _serve(listener: socket.socket) -> _Request:
    """Forks a process for each request. Returns the request in the process that has to run it."""
    connections: dict[int, socket.socket] = {}
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is wake:
                    wake.recv(4096)
                    _report_ended(connections)
                elif key.fileobj is listener:  # the request may follow later, or never
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                else:
                    connection = selector.unregister(key.fileobj).fileobj
                    assert isinstance(connection, socket.socket)
                    if (request := _receive(connection)) is None:
                        continue
                    if (pid := os.fork()) == 0:
                        waiting = [registered.fileobj for registered in selector.get_map().values()]
                        for other in (*waiting, waker, connection, *connections.values()):
                            other.close()  # type: ignore[union-attr]
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        return request
                    request.close()
                    connections[pid] = connection
                    with suppress(
                        OSError
                    ):  # whoever asked for it has ended; so does the process, without its input
                        connection.send(str(pid).encode())


def _receive(connection: socket.socket) -> _Request | None:
    """Returns the request of a client; None where the client has ended before it sent one."""
    message, streams, _, _ = socket.recv_fds(connection, _MAX_MESSAGE, 3)
    if message:
        return _Request(json.loads(message), streams)
    connection.close()
    return None


def _report_ended(connections: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with connections.pop(ended[0]) as connection, suppress(OSError):
                connection.send(str(os.waitstatus_to_exitcode(ended[1])).encode())


def _main(path: Path) -> None:
    for module in MODULES:
        _import(module)
    import_module("tests.support.forked_children")
    import_module("sqlalchemy.orm").configure_mappers()  # those of MLflow's store
    assert not {"onnxruntime", "duckdb"} & sys.modules.keys()
    gc.collect()
    gc.freeze()  # the collector of a forked process leaves alone what it shares
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.new")
        listener.listen(64)
        Path(f"{path}.new").rename(path)
        request = _serve(listener)
    request.become()


def _run_from_shell(server: str, program: str, *arguments: str) -> int:
    """Runs a command of a shell script on the script's own streams; returns its exit code."""
    command = [str(Path(program).absolute()), *arguments]
    return ForkedProcess(Path(server), command, streams=(0, 1, 2)).wait()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    if sys.argv[1] == "--run":
        sys.exit(_run_from_shell(*sys.argv[2:]))
    _main(Path(sys.argv[1]))
