"""`windlass verify`: equal, different with the reasons, or nothing to verify."""

import shutil
from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.paths import IRIS


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of iris, trained once; nobody may change it."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(IRIS / "project.py", folder)
    home = tmp_path_factory.mktemp("home")
    done = run_cli("train", folder, "--no-track", "--C", "3", home=home)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained copy of iris, for one test."""
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    return shutil.copytree(trained, tmp_path / "project")


def test_equal_is_code_0(project: Path) -> None:
    for path in (project, project / "artifacts"):
        done = run_cli("verify", path)
        assert done.code == 0, done.err
        assert done.out.startswith("Equal: ")


def test_a_difference_is_code_1_with_its_reasons(project: Path) -> None:
    source = project / "project.py"
    source.write_text(source.read_text().replace("max_iter=1000", "max_iter=1000, tol=0.1"))
    done = run_cli("verify", project / "artifacts")
    assert done.code == 1
    assert "differs  metrics.json: " in done.out
    assert "because  project.py changed" in done.out
    done = run_cli("verify", project, "--json")
    assert (done.code, done.json()["equal"], done.err) == (1, False, "")
    assert done.json()["differences"]
    assert done.json()["reasons"]


def test_no_bundle_is_one_line(tmp_path: Path) -> None:
    done = run_cli("verify", tmp_path / "none", home=tmp_path / "home")
    assert done.code == 1
    assert "windlass: No bundle at " in done.err
