"""A program that is killed before each of its writes, one after the other, and looks at what is left each time.

`python -m tests.support.crash_points register|prune|approve FOLDER`, with the settings in the environment.
Exits 0 where everything was right every time, and prints how often it was killed.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from tests.support.small_bundles import LOAN

from windlass.errors import WindlassError
from windlass.registry.registry import Registry
from windlass.settings import Settings

MAX_WRITES = 400


class KillAtWrite:
    """Kills this process before the write of a number."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self, settings: Settings) -> None:
        """Put it before every write: to files, to the object store, to the database."""
        import shutil

        for owner, name in (
            (shutil, "copyfile"), (shutil, "rmtree"), (os, "fsync"), (os, "rename"),
            (os, "unlink"), (os, "mkdir"), (Path, "rename"), (Path, "mkdir"),
        ):  # fmt: skip
            self._before(owner, name)
        if settings.store_url is not None:
            from obstore.store import S3Store

            for name in ("put", "copy", "delete"):
                self._before(S3Store, name)
        event.listen(Engine, "before_cursor_execute", self)
        event.listen(Engine, "commit", self)

    def _before(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            self()
            return original(*arguments, **named)

        setattr(owner, name, counted)


@dataclass(frozen=True)
class CrashTest:
    """One killing: what is done, with which bundles, and before which write it is killed."""

    settings: Settings
    action: str
    folder: Path
    number: int

    def prepare(self) -> None:
        """Make what the action needs."""
        registry = Registry.open(self.settings)
        registry.declare(LOAN.declared())
        self._seal("")
        if self.action != "register":
            registry.prune("loan", 0)  # so that every turn has as much to do
            self._register(registry)
            registry.register(self._seal("-again"), trained_by="ann")
        registry.close()

    def act(self) -> None:
        """Do it, and die."""
        registry = Registry.open(self.settings)
        KillAtWrite(self.number).install(self.settings)
        if self.action == "register":
            self._register(registry)
        elif self.action == "prune":
            registry.prune("loan", 1)
        else:
            newest = registry.versions("loan")[0]
            registry.approve("loan", newest.name, actor="bob", reason="a test")

    def check(self) -> None:
        """Open the registry as a later start does, carry on, and hold every row against its bundle."""
        registry = Registry.open(self.settings)
        registry.sweep()
        bundles = registry._bundles
        assert bundles._blobs.folders("incoming") == []
        if self.action == "register":
            self._register(registry)  # resumed: once, whether it was there or not
            assert len({version.job_id for version in registry.versions("loan")}) == self.number
        versions = registry.versions("loan")
        numbers = sorted(version.number for version in versions)
        assert numbers == list(range(1, len(versions) + 1)), numbers
        unpruned = [version for version in versions if version.pruned_at is None]
        in_store, in_database = (
            bundles.version_numbers("loan"),
            {version.number for version in unpruned},
        )
        assert in_store == in_database, (in_store, in_database)
        registry.sweep()
        assert bundles._blobs.folders("orphans/loan") == []
        for version in unpruned:
            registry.fetch(version)
        assert registry.verify_decisions() == [], registry.verify_decisions()
        registry.close()

    def _register(self, registry: Registry) -> None:
        registry.register(
            self.folder / str(self.number), trained_by="ann", job_id=f"job-{self.number}"
        )

    def _seal(self, suffix: str) -> Path:
        return LOAN.sealed(self.folder / f"{self.number}{suffix}")


def exit_status(work: Callable[[], None]) -> int:
    """The exit status of a fork of this process that does some work."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except (AssertionError, WindlassError):
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(action: str, folder: Path) -> int:
    """Kill before the first write, the second, …, until there is none left to be killed before."""
    settings = Settings.read()
    Registry.open(settings).close()  # so that no fork has to import what a registry needs
    turns = [CrashTest(settings, action, folder, number) for number in range(1, MAX_WRITES)]
    for before, turn in zip([None, *turns], turns, strict=False):
        ended = exit_status(partial(_next_turn, before, turn))
        if ended == 0 and exit_status(turn.check) == 0:
            sys.stdout.write(str(turn.number - 1))
            return 0
        if ended != -signal.SIGKILL:
            sys.stderr.write(f"ended with {ended} after a kill before write {turn.number - 1}")
            return 1
    return 1


def _next_turn(before: CrashTest | None, turn: CrashTest) -> None:
    """Look at what the turn before left, as a new process, and be killed in turn."""
    if before is not None:
        before.check()
    turn.prepare()
    turn.act()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
