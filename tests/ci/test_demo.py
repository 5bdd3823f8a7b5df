"""What `make run` does before it serves: examples in production, each once, and no key that is left to use."""

import sys
from pathlib import Path

import pytest
from tests.support import child_process
from tests.support.child_process import run
from tests.support.cli import run_cli
from tests.support.lending_project import LendingProject
from tests.support.paths import ROOT, project_folder
from tests.support.server import environment

UNRULY = project_folder("unruly")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python with a `windlass` beside it, whose processes are forked outside CI."""
    server = child_process.fork_server
    return Path(sys.executable) if server is None else server.interpreter(tmp_path / "bin")


def demo(python: Path, home: Path, folder: Path) -> str:
    """What examples/demo.py printed."""
    command = [python, ROOT / "examples" / "demo.py", folder]
    done = run(command, env=environment(home), timeout=200)
    assert done.code == 0, done.out + done.err
    return done.out


def test_the_demo_brings_an_example_to_production_once_and_leaves_no_key_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    home, project = tmp_path / "home", LendingProject.copied(tmp_path / "unruly", UNRULY)
    project.change('policy="automatic"', 'policy="manual", four_eyes=True')
    monkeypatch.setenv("WINDLASS_HOME", str(home))
    assert "windlass train" in demo(python, home, project.folder)
    assert "as they were" in demo(python, home, project.folder)
    assert [version["stage"] for version in run_cli("versions", "unruly", "--json").json()] == [
        "production"
    ]
    (key,) = run_cli("keys", "list", "--json").json()
    assert key["revoked_at"] is not None
