"""kill -9 at every write, and at any moment: no version without its bundle, and no parts of bundles are left."""

import random
import sys
import time
from pathlib import Path

import pytest
from tests.support.child_process import ChildProcess, python_command, run
from tests.support.paths import ROOT
from tests.support.services import registry_settings, variables
from tests.support.small_bundles import LOAN

from windlass.registry.registry import Registry
from windlass.settings import Settings

LOOP = """
import sys
from pathlib import Path
from windlass.registry.registry import Registry
from windlass.settings import Settings
registry = Registry.open(Settings.read())
for folder in sorted(Path(sys.argv[1]).iterdir()):
    print(registry.register(folder, trained_by="ann", job_id=folder.name).number, flush=True)
"""


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return registry_settings(request.param, request, tmp_path / "home")


@pytest.mark.parametrize(
    ("settings", "action"),
    [
        ("sqlite-files", "register"),
        ("postgres-s3", "register"),
        ("sqlite-files", "prune"),
        ("sqlite-files", "approve"),
    ],
    indirect=["settings"],
)
@pytest.mark.timeout(600)
def test_killed_before_each_write(settings: Settings, tmp_path: Path, action: str) -> None:
    done = run(
        [sys.executable, "-m", "tests.support.crash_points", action, tmp_path / "bundles"],
        env={**variables(settings), "PYTHONPATH": str(ROOT)},
        warm=True,
        timeout=580,
    )
    assert done.code == 0, done.err
    assert int(done.out) > 5  # there were writes to be killed before


@pytest.mark.parametrize("settings", ["sqlite-files", "postgres-files"], indirect=True)
def test_killed_at_any_moment(settings: Settings, tmp_path: Path) -> None:
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    numbers: set[int] = set()
    chance = random.Random(7)
    for turn in range(6):
        for number in range(40):
            LOAN.sealed(tmp_path / f"turn-{turn}" / f"{turn}-{number:02}")
        numbers |= _killed(settings, tmp_path / f"turn-{turn}", chance.uniform(0.0, 0.3))
        registry.sweep()
        versions = registry.versions("loan")
        assert {version.number for version in versions} == set(range(1, len(versions) + 1))
        assert numbers <= {version.number for version in versions}
        for version in versions:
            assert registry.fetch(version).digest == version.digest
        folders = {folder.name for folder in (settings.home / "models" / "loan").iterdir()}
        assert folders == {version.name for version in versions}
        assert list((settings.home / "incoming").iterdir()) == []
    assert numbers
    assert registry.verify_decisions() == []
    registry.close()


def _killed(settings: Settings, folder: Path, after: float) -> set[int]:
    """The numbers that a process printed before it was killed, this long after the first."""
    with ChildProcess(python_command(LOOP, folder), env=variables(settings), warm=True) as child:
        first = child.read_line()
        time.sleep(after)  # the moment is random on purpose
        child.kill()
        return {int(line) for line in [first, *child.finish().out.splitlines()] if line}
