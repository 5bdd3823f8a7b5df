from pathlib import Path

import sklearn
from tests.support.child_process import run

from windlass.training.environment import installed_version, read_environment


def test_what_decides_a_result_is_recorded(tmp_path: Path) -> None:
    environment = read_environment(tmp_path)
    assert environment["packages"]["scikit-learn"] == sklearn.__version__
    assert {"numpy", "pandas", "scipy"} <= environment["packages"].keys()
    assert environment["commit"] is None  # tmp_path is in no repository
    assert environment["python"].startswith("3.")


def test_a_commit_with_changes_is_marked_dirty(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        run(["git", *identity, *words], cwd=tmp_path).check()

    (tmp_path / "project.py").write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    commit = read_environment(tmp_path)["commit"]
    assert len(commit) == 40
    (tmp_path / "project.py").write_text("2")
    assert read_environment(tmp_path)["commit"] == f"{commit}-dirty"


def test_a_package_that_is_not_here_has_no_version() -> None:
    assert installed_version("no-such-package") is None
