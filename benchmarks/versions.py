"""Registers versions of one project, and makes decisions about them while a server runs."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Self

from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings

WHO = {"actor": "benchmark", "reason": "measured"}


class Versions:
    """`count` approved versions of one bundle, the last one in production. A context manager."""

    def __init__(self, home: Path, bundle: Path, count: int) -> None:
        self.home = home
        self.log = home / "server.log"
        self.project = Bundle.open(bundle).manifest.project
        home.mkdir(parents=True)
        self._registry = Registry.open(Settings(home=home))
        self._registry.declare(ProjectSpec(name=self.project, folder=str(home)))
        self.names = [self._approved(_another(bundle, home / "next", i)) for i in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._registry.close()

    @contextmanager
    def swapping(self, every: float) -> Iterator[None]:
        """Rolls back to one version after another, from the oldest on, every so many seconds."""
        ended = threading.Event()
        thread = threading.Thread(target=self._swap, args=(every, ended))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def switches(self) -> list[dict[str, float]]:
        """Returns the log entries of the switches after the server's start."""
        lines = [
            json.loads(line)
            for line in self.log.read_bytes().splitlines()
            if b"version ready" in line
        ]
        return [line for line in lines if line["previous"] is not None]

    def _swap(self, every: float, ended: threading.Event) -> None:
        for name in cycle(self.names):
            started = time.monotonic()
            self._registry.rollback(self.project, name, **WHO)
            if ended.wait(max(0.0, every - (time.monotonic() - started))):
                return

    def _approved(self, bundle: Path) -> str:
        version = self._registry.register(bundle, trained_by="benchmark")
        self._registry.approve(self.project, version.name, **WHO)
        return version.name


def _another(bundle: Path, target: Path, number: int) -> Path:
    """Copies a bundle as another version: with another creation time, and without gates."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(bundle, target)
    manifest = json.loads((target / MANIFEST).read_bytes())
    (target / MANIFEST).write_text(
        json.dumps(manifest | {"created": f"turn {number}", "gates": []})
    )
    return target
