"""Builds the documentation: `python docs/site/build.py` writes the site to build/site. `make docs` calls it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from pages import ROOT, copy_pages
from reference import reference_pages

PAGES = ROOT / "build" / "docs"
WINDLASS = Path(sys.executable).with_name("windlass")
ZENSICAL = Path(sys.executable).with_name("zensical")
START_SECONDS = 60.0


def main() -> int:
    """Writes the pages, then the site. Returns the generator's exit code."""
    shutil.rmtree(PAGES, ignore_errors=True)
    copy_pages(PAGES)
    reference = PAGES / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    for name, text in reference_pages(read_openapi()).items():
        (reference / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [ZENSICAL, "build", "--clean", "--strict"], cwd=ROOT, check=False
    ).returncode


def read_openapi() -> bytes:
    """Returns the OpenAPI document of a server of the Iris example, trained for it."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "iris")
        shutil.copytree(
            ROOT / "examples" / "iris", project, ignore=shutil.ignore_patterns("artifacts")
        )
        environment = {
            **os.environ,
            "WINDLASS_HOME": str(Path(folder, "home")),
            "WINDLASS_AUTH": "off",
        }
        train = [str(WINDLASS), "train", str(project), "--no-track", "--json"]
        subprocess.run(train, env=environment, check=True, stdout=subprocess.DEVNULL)
        port = _free_port()
        serve = [str(WINDLASS), "serve", str(project), "--port", str(port), "--no-worker"]
        with subprocess.Popen(
            serve, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                return _get(f"http://127.0.0.1:{port}/openapi.json")
            finally:
                server.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _get(url: str) -> bytes:
    """Returns what a server answers, once it listens."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(url, timeout=START_SECONDS) as answer:
                return bytes(answer.read())
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    raise SystemExit(main())
