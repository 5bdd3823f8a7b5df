"""Processes that register, approve and open at once, on both databases and both stores: nothing is lost or doubled."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.child_process import ChildProcess, python_command
from tests.support.services import registry_settings, variables
from tests.support.small_bundles import LOAN

from windlass.registry.registry import Registry
from windlass.registry.version import Stage
from windlass.settings import Settings

PROCESSES = 8
EACH = 4
TIMEOUT = 100  # seconds

REGISTER = """
import json, sys
from pathlib import Path
from windlass.registry.registry import Registry
from windlass.settings import Settings
print("there", flush=True)
sys.stdin.readline()  # until all are there
registry = Registry.open(Settings.read())
folders = sorted(Path(sys.argv[1]).iterdir())
print(json.dumps([registry.register(f, trained_by="ann", job_id=str(f)[-60:]).number for f in folders]))
registry.close()
"""
APPROVE = """
import sys
from windlass.errors import RegistryError
from windlass.registry.registry import Registry
from windlass.settings import Settings
registry = Registry.open(Settings.read())
print("there", flush=True)
sys.stdin.readline()
print(registry.approve("loan", sys.argv[1], actor=f"p{sys.argv[1]}", reason="a test").sequence)
registry.close()
"""


each_database = pytest.mark.parametrize(
    "settings", ["sqlite-files", "postgres-files"], indirect=True
)


@pytest.fixture(params=["sqlite-files", "postgres-s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return registry_settings(request.param, request, tmp_path / "home")


def test_eight_processes_register_at_once(settings: Settings, tmp_path: Path) -> None:
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    for process in range(PROCESSES):
        for number in range(EACH):
            LOAN.sealed(tmp_path / f"process-{process}" / f"bundle-{number}")
    lines = at_once(settings, REGISTER, [str(tmp_path / f"process-{p}") for p in range(PROCESSES)])
    numbers = [number for line in lines for number in json.loads(line)]
    assert sorted(numbers) == list(range(1, PROCESSES * EACH + 1))
    versions = registry.versions("loan")
    assert len({version.job_id for version in versions}) == PROCESSES * EACH
    for version in versions:
        assert registry.fetch(version).digest == version.digest
    assert registry.verify_decisions() == []
    registry.close()


@each_database
def test_different_versions_approved_at_once(settings: Settings, tmp_path: Path) -> None:
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    folders = [LOAN.sealed(tmp_path / f"bundle-{number}") for number in range(4)]
    names = [registry.register(folder, trained_by="ann").name for folder in folders]
    sequences = at_once(settings, APPROVE, names)
    assert sorted(map(int, sequences)) == [1, 2, 3, 4]
    last = registry.decisions("loan")[-1]
    stages = {version.name: version.stage for version in registry.versions("loan")}
    assert [name for name, stage in stages.items() if stage is Stage.PRODUCTION] == [last.version]
    assert registry.verify_decisions() == []
    registry.close()


@each_database
def test_a_version_approved_twice_at_once_is_approved_once(
    settings: Settings, tmp_path: Path
) -> None:
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    registry.register(LOAN.sealed(tmp_path / "bundle"), trained_by="ann")
    once = APPROVE.replace("print(registry", "try: print(registry").replace(
        "registry.close()", "except RegistryError as error: print(error)"
    )
    messages = at_once(settings, once, ["v1", "v1", "v1"])
    messages.remove("1")
    assert all(
        "v1 is in production, and only a candidate can be approved" in line for line in messages
    )
    assert len(registry.decisions()) == 1
    assert registry.verify_decisions() == []
    registry.close()


def at_once(settings: Settings, code: str, arguments: Sequence[str]) -> list[str]:
    """What processes that run `code` print, let go together once all are there."""
    program = python_command(f"import warnings; warnings.simplefilter('error')\n{code}")
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                ChildProcess([*program, argument], env=variables(settings), warm=True)
            )
            for argument in arguments
        ]
        for child in children:
            assert child.read_line() == "there", child.description
        for child in children:
            child.write_line("go")
        done = [child.finish(TIMEOUT) for child in children]
    assert [ended.code for ended in done] == [0] * len(done), done
    return [ended.out.strip() for ended in done]
