"""The home folder that a command uses: the nearest `.windlass`, from the project's folder upward."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from windlass.errors import SettingsError
from windlass.home import find_home
from windlass.settings import Settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, team/churn; the current folder is elsewhere."""
    folder = tmp_path / "team" / "churn"
    folder.mkdir(parents=True)
    (folder / "project.py").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_a_new_home_is_beside_the_project(project: Path) -> None:
    assert find_home([project]) == project.parent / ".windlass"
    assert not find_home([project]).exists()


def test_a_new_home_stays_in_the_repository_of_the_project(project: Path) -> None:
    (project / ".git").mkdir()
    assert find_home([project]) == project / ".windlass"


@pytest.mark.parametrize(
    "owner", [lambda p: p, lambda p: p.parent, lambda p: p.parent.parent], ids=["in", "beside", "above"]
)  # fmt: skip
def test_the_nearest_home_is_found_from_any_folder(
    project: Path, owner: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = owner(project) / ".windlass"
    home.mkdir()
    for folder in (Path.cwd(), project, project.parent):
        monkeypatch.chdir(folder)
        target = Path(os.path.relpath(project, folder))
        assert find_home([target]).resolve() == home
    monkeypatch.chdir(project)
    assert find_home().resolve() == home
    assert find_home([Path("churn")]).resolve() == home  # a name


def test_a_nearer_home_comes_first(project: Path) -> None:
    for folder in (project, project.parent):
        (folder / ".windlass").mkdir()
    assert find_home([project]) == project / ".windlass"


def test_a_file_of_that_name_is_no_home(project: Path) -> None:
    (project / ".windlass").touch()
    assert find_home([project]) == project.parent / ".windlass"


def test_without_a_project_it_is_of_the_current_folder(project: Path) -> None:
    assert find_home() == find_home([Path("churn")]) == Path(".windlass")
    (project.parent / "bundle").mkdir()
    assert find_home([project.parent / "bundle"]) == Path(".windlass")


def test_a_bundle_has_the_home_above_it(project: Path) -> None:
    (project / "artifacts").mkdir()
    (project.parent / ".windlass").mkdir()
    assert find_home([project / "artifacts"]) == project.parent / ".windlass"


def test_projects_of_different_homes_are_not_mixed(project: Path) -> None:
    other = project.parents[1] / "other" / "loan"
    other.mkdir(parents=True)
    for folder in (project, other):
        (folder / "project.py").touch()
        (folder.parent / ".windlass").mkdir()
    assert find_home([project, project]) == project.parent / ".windlass"
    with pytest.raises(SettingsError, match=r"has its home in .* WINDLASS_HOME"):
        find_home([project, other])


def test_one_of_several_projects_may_have_no_home_yet(project: Path) -> None:
    new = project.parents[1] / "new" / "loan"
    new.mkdir(parents=True)
    (project.parent / ".windlass").mkdir()
    assert find_home([new, project]) == project.parent / ".windlass"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_home_of_another_user_is_refused(project: Path) -> None:
    home = project.parent / ".windlass"
    home.mkdir()
    os.chown(home, 12345, -1)
    with pytest.raises(SettingsError, match="belongs to another user"):
        find_home([project])
    assert Settings.read({"WINDLASS_HOME": str(home)}, near=[project]).home == home
    os.chown(project, 12345, -1)  # whose code runs anyway
    assert find_home([project]) == home


def test_the_variable_comes_first(project: Path) -> None:
    (project / ".windlass").mkdir()
    assert Settings.read({"WINDLASS_HOME": "/data"}, near=[project]).home == Path("/data")
    assert Settings.read({"WINDLASS_HOME": ""}, near=[project]).home == project / ".windlass"
