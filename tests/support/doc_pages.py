"""Runs the code blocks of a page of the documentation, in their order, in a folder of their own.

- A block with `title="FILE"` is written to that file.
- `sh`: run by Bash, which ends at the first error; a block begins in the folder and with the variables of the last one.
- `sh` whose first command serves (`windlass serve`, `windlass worker`, `nginx`): goes on in the background until the
  page ends; the next block begins once the port of the command answers.
- `python`: all of a page run in one process, as the cells of a notebook.

Port 8000 is replaced by a free one in every block, and each text of `replaced` by its value. Blocks of other languages
show what is printed, and are not run.
"""

import json
import re
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import ChildProcess, run
from tests.support.server import free_port
from tests.support.waiting import wait_until

TIMEOUT = 150.0  # seconds of one block: some train
SERVERS = ("windlass serve", "windlass worker", "nginx")
_BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_PORT = re.compile(r"\b8000\b")
# runs blocks of Python, each a line of JSON, in one namespace; says how each ended
_NOTEBOOK = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<page>", "exec"), names)
        print("\\x00done", flush=True)
    except BaseException:
        print("\\x00" + json.dumps(traceback.format_exc()), flush=True)
"""


@dataclass(frozen=True)
class CodeBlock:
    """Block of a page: its language, the file that its title names, and its text."""

    language: str
    file: str | None
    text: str

    @property
    def serves(self) -> bool:
        """Whether its command goes on."""
        return self.language == "sh" and self.text.lstrip().startswith(SERVERS)


def code_blocks(page: Path) -> list[CodeBlock]:
    """Returns the blocks of a page that are files or are run."""
    blocks = []
    for indent, info, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        language, _, rest = info.strip().partition(" ")
        title = _TITLE.search(rest)
        lines = [line.removeprefix(indent) for line in text.splitlines(keepends=True)]
        block = CodeBlock(language, None if title is None else title[1], "".join(lines))
        if block.file is not None or language in ("sh", "python"):
            blocks.append(block)
    return blocks


# pages that train models and start servers; outside CI only the tutorial is run, which does what the others do
in_ci = pytest.mark.skipif(not IS_CI, reason="a page of half a minute: only in CI")


def run_page(
    page: Path,
    folder: Path,
    variables: Mapping[str, str],
    replaced: Mapping[str, str] | None = None,
) -> None:
    """Runs the blocks of a page in a folder. Fails with the block that fails, and what it printed."""
    with ExitStack() as stack:
        runner = _PageRunner(folder, variables, replaced or {}, stack)
        for block in code_blocks(page):
            runner.run(block)


class _PageRunner:
    """Folder, port, servers and interpreter of one page."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        replaced: Mapping[str, str],
        stack: ExitStack,
    ) -> None:
        self._folder = self._cwd = folder
        self._replaced = replaced
        self._port = free_port()
        path = f"{Path(sys.executable).parent}:{variables.get('PATH', '/usr/bin:/bin')}"
        self._variables = {**variables, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._stack = stack
        self._notebook: ChildProcess | None = None

    def run(self, block: CodeBlock) -> None:
        """Runs or writes one block."""
        text = _PORT.sub(str(self._port), block.text)
        for text_of_page, value in self._replaced.items():
            text = text.replace(text_of_page, value)
        if block.file is not None:
            file = self._cwd / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif block.language == "python":
            self._run_python(text)
        elif block.serves:
            self._start_server(text)
        else:
            self._run_shell(text)

    def _run_shell(self, text: str) -> None:
        state = self._folder / ".state"
        script = f"set -eo pipefail\n{text}\n(pwd; env -0) > {shlex.quote(str(state))}\n"
        done = run(["bash", "-c", script], env=self._variables, cwd=self._cwd, timeout=TIMEOUT)
        assert done.code == 0, f"{text}\nended with {done.code}:\n{done.out}{done.err}"
        folder, _, variables = state.read_text().partition("\n")
        self._cwd = Path(folder)
        self._variables = dict(each.split("=", 1) for each in variables.rstrip("\0").split("\0"))

    def _start_server(self, text: str) -> None:
        command = ["bash", "-c", f"exec {text.strip()}"]
        log = self._folder / f"server-{self._port}.log"
        process = ChildProcess(command, env=self._variables, cwd=self._cwd, log=log, new_group=True)
        self._stack.callback(process.stop)
        where = text
        if text.startswith("nginx"):
            where = (self._cwd / "nginx.conf").read_text()
        port = re.search(r"(?:--port[ =]|listen 127\.0\.0\.1:)(\d+)", where)
        number = self._port if port is None else int(port[1])
        answers = _is_ready if text.startswith("windlass serve") else _listens
        if not text.startswith("windlass worker"):
            wait_until(lambda: answers(number) or not process.is_running, text)
        assert process.is_running, f"{text}\nended:\n{log.read_text()}"

    def _run_python(self, text: str) -> None:
        if self._notebook is None:
            command = [sys.executable, "-c", _NOTEBOOK]
            notebook = ChildProcess(command, env=self._variables, cwd=self._cwd)
            self._notebook = self._stack.enter_context(notebook)
        self._notebook.write_line(json.dumps(text))
        for line in _lines(self._notebook):
            if line.startswith("\x00"):
                assert line == "\x00done", f"{text}\n{json.loads(line[1:])}"
                return


def _lines(process: ChildProcess) -> Iterator[str]:
    while True:
        line = process.read_line(TIMEOUT)
        assert line or process.is_running, "the interpreter ended"
        yield line


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
