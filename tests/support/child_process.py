"""Child processes of tests: started, waited for, signalled, killed, and cleaned up, with what they wrote.

No other file of the tests starts a process (`tests/architecture/test_tests.py`).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.support.fork_server import ForkedProcess, ForkServer
from tests.support.paths import ROOT

TIMEOUT = 60.0  # seconds until a test gives a process up: longer than a server takes to stop
GRACE = 1.0  # seconds in which another process, which holds the pipes too, may still write
POLL = 0.01  # seconds between two looks at what nobody reports
WINDLASS = Path(sys.executable).with_name("windlass")

Command = Sequence[object]


class StillRunningError(AssertionError):
    """A process had not ended when its time was over, and was killed."""


@dataclass(frozen=True)
class Finished:
    """How a process or a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    def check(self) -> str:
        """Returns its output. Fails with all that it wrote where its exit code is not 0."""
        assert self.code == 0, f"ended with {self.code}: {self.out}{self.err}"
        return self.out

    def json(self) -> Any:
        """Returns its output, parsed."""
        return json.loads(self.out)

    @property
    def error_lines(self) -> list[str]:
        """The lines of standard error with an error, without those of progress."""
        return [line for line in self.err.splitlines() if line.startswith("windlass: ")]


fork_server: ForkServer | None = None  # of this run; the tests' conftest sets it, but not in CI


_AT_START = ("PYTHON", "LD_", "OMP_", "OPENBLAS_")  # variables that a process reads as it starts


def _may_fork(command: Sequence[str], env: Mapping[str, str] | None, warm: bool | None) -> bool:
    if fork_server is None or not (Path(command[0]) == WINDLASS if warm is None else warm):
        return False
    return env is None or _read_at_start(env, warm) == _read_at_start(os.environ, warm)


def _read_at_start(env: Mapping[str, str], warm: bool | None) -> dict[str, str]:
    later = {"PYTHONPATH"} if warm else ()  # which a forked process can still add
    return {
        name: value
        for name, value in env.items()
        if name.startswith(_AT_START) and name not in later
    }


def _fork(command: Sequence[str], **options: Any) -> ForkedProcess:
    assert fork_server is not None
    return fork_server.start(command, text=True, **options)


def _start(
    command: Sequence[str], *, streams: Sequence[int], **options: Any
) -> "subprocess.Popen[str]":
    stdin, stdout, stderr = streams
    options |= {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    options |= {"text": True, "encoding": "utf-8", "errors": "backslashreplace"}
    return subprocess.Popen(command, **options)


class ChildProcess:
    """Process with pipes for its input, output and errors, or with a file for what it logs.

    With `log`, standard error goes to that file, and standard output nowhere. `stdin` and `stderr` are descriptors
    that take the place of a pipe, such as those of a terminal. With `new_group` the process leads a group of its own,
    as one that was started in a terminal does. As a context manager, it kills what is left.

    `windlass` is forked from a server that has imported it (see `fork_server`), and Python code where it may be `warm`;
    not where a variable is set that an interpreter reads as it starts.
    """

    def __init__(
        self,
        command: Command,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        stdin: int | None = None,
        stderr: int | None = None,
        new_group: bool = False,
        warm: bool | None = None,
    ) -> None:
        self.log = log
        self._new_group = new_group
        stream = subprocess.PIPE if log is None else subprocess.DEVNULL
        words = [str(word) for word in command]
        start = _fork if _may_fork(words, env, warm) else _start
        with ExitStack() as files:
            if log is not None:
                stderr = files.enter_context(log.open("wb")).fileno()
            streams = [stream if given is None else given for given in (stdin, None, stderr)]
            self.process = start(
                words, cwd=cwd, env=env, streams=streams, start_new_session=new_group
            )
        self._out, self._err = _Reader(self.process.stdout), _Reader(self.process.stderr)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def write_line(self, text: str) -> None:
        """Writes a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def close_input(self) -> None:
        """Ends its standard input."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def read_line(self, timeout: float = TIMEOUT) -> str:
        """Returns the next line of its standard output, without its end; "" once there is none."""
        return self._out.next_line(timeout, self.description)

    def read_error(self, timeout: float = TIMEOUT) -> str:
        """Returns the next line of its standard error, without its end; "" once there is none."""
        return self._err.next_line(timeout, self.description)

    def wait_for_log(self, text: str, timeout: float = TIMEOUT) -> Self:
        """Returns once its log has this text. Fails where the process ends before."""
        assert self.log is not None
        deadline = time.monotonic() + timeout
        while text not in self.log.read_text("utf-8"):
            assert self.is_running, self.description
            assert time.monotonic() < deadline, f"never logged {text!r}: {self.description}"
            time.sleep(POLL)
        return self

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to the process and all that it started, as a terminal does."""
        assert self._new_group
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()
        self._close()

    def kill_group(self) -> None:
        """Ends the process and all that it started, as a power cut would."""
        self.signal_group(signal.SIGKILL)
        self._close()

    def stop(self, timeout: float = TIMEOUT) -> int:
        """Ends it as an orchestrator would, and kills it where that does not help; returns its exit code."""
        if self.is_running:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # where it is suspended
        return self.wait(timeout)

    def wait(self, timeout: float = TIMEOUT, grace: float = GRACE) -> int:
        """Returns its exit code, once it has ended. Kills it and fails where it does not."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill_all()
            message = f"not ended in {timeout:g} s: {self.description}"
            raise StillRunningError(message) from None
        self._close(grace)
        return code

    def finish(self, timeout: float = TIMEOUT, grace: float = GRACE) -> Finished:
        """Ends its standard input, waits for it, and returns how it ended; what was read before is left out."""
        self.close_input()
        return Finished(self.wait(timeout, grace), self._out.rest(), self._err.rest())

    @property
    def description(self) -> str:
        """The command, and the end of what it wrote."""
        log = "" if self.log is None else self.log.read_text("utf-8")
        state = "running" if self.is_running else f"ended with {self.process.returncode}"
        return f"{self.process.args!r}, {state}: {(log + self._out.text + self._err.text)[-4000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self.is_running:
            self._kill_all()
        self._close()

    def _kill_all(self) -> None:
        if self._new_group:
            self.kill_group()
        else:
            self.kill()

    def _close(self, grace: float = GRACE) -> None:
        self.process.wait()
        self.close_input()
        self._out.wait_for_end(grace)
        self._err.wait_for_end(grace)


class _Reader:
    """Reads a pipe in a thread, so that the process never waits for a reader, and a test never for ever."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._read = 0  # lines that were given out
        self._ended = stream is None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if stream is not None:
            self._thread.start()

    def _run(self) -> None:
        assert self._stream is not None
        with self._stream:
            for line in self._stream:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """All that was written."""
        with self._changed:
            return "".join(self._lines)

    def next_line(self, timeout: float, description: str) -> str:
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._read < len(self._lines) or self._ended, timeout
            )
            assert came, f"nothing more written in {timeout:g} s: {description}"
            if self._read == len(self._lines):
                return ""
            self._read += 1
            return self._lines[self._read - 1].rstrip("\n")

    def rest(self) -> str:
        with self._changed:
            return "".join(self._lines[self._read :])

    def wait_for_end(self, grace: float) -> None:
        """Waits for what another process, which holds the pipe too, may still write."""
        if self._stream is not None:
            self._thread.join(grace)


def run(
    command: Command,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = None,
    stderr: int | None = None,
    new_group: bool = False,
    warm: bool | None = None,
    timeout: float = TIMEOUT,
) -> Finished:
    """Runs a command, without input unless `stdin` is given, to its end; returns how it ended."""
    options: dict[str, Any] = {
        "stdin": stdin,
        "stderr": stderr,
        "new_group": new_group,
        "warm": warm,
    }
    child = ChildProcess(command, env=env, cwd=cwd, **options)
    with child:
        return child.finish(timeout)


def python_command(code: str, *arguments: object) -> Command:
    """Returns the command that runs Python code with these arguments."""
    return [sys.executable, "-c", code, *arguments]


def run_python(
    code: str,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    warm: bool = False,
) -> str:
    """Runs Python code in a process of its own, which must succeed; returns its output."""
    return run(python_command(code, *arguments), env=env, cwd=ROOT, warm=warm).check()


def ended_pid() -> int:
    """Returns the number of a process that has ended."""
    with ChildProcess(python_command(""), warm=True) as child:
        child.finish()
    return child.pid
