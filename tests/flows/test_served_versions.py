"""What predicts and serves: production; another version by its name, with a warning; a bundle by its path."""

import csv
from pathlib import Path

import pytest
from tests.support.altered_bundles import copy_bundle
from tests.support.cli import run_cli
from tests.support.registry_home import WHO, RegistryHome, altered_copy
from tests.support.server import Server

from windlass.core.project_spec import ProjectSpec

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture
def home(tmp_path: Path, iris: Path) -> RegistryHome:
    """Iris with v1 in production, v2 a candidate, and v3 rejected, whose folder is tmp_path/iris."""
    home = RegistryHome(tmp_path / "home")
    folder = tmp_path / "iris"
    copy_bundle(iris, folder / "artifacts")
    (folder / "project.py").write_text("raise SystemExit('the code of a project is not run')")
    home.registry.declare(ProjectSpec(name="iris", folder=str(folder)))
    for name in ("one", "two", "three"):
        home.add(altered_copy(iris, tmp_path / name), folder=folder)
    home.approve("v1")
    home.registry.reject("iris", "v3", **WHO)
    return home


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of one row."""
    file = tmp_path / "rows.csv"
    file.write_text(",".join(ROW) + "\n" + ",".join(map(str, ROW.values())) + "\n")
    return file


STAGES = {
    (): ("v1", ""),
    ("v1",): ("v1", ""),
    ("v2",): ("v2", "iris v2 is a candidate."),
    ("v3",): ("v3", "iris v3 is rejected."),
}


@pytest.mark.parametrize("words", STAGES)
def test_a_version_that_is_not_in_production_predicts_only_by_its_name(
    words: tuple[str, ...], home: RegistryHome, rows: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    project = tmp_path / "iris"
    done = run_cli("predict", project, *words, "--input", rows, "--output", output, home=home.home)
    version, warning = STAGES[words]
    assert done.code == 0
    assert done.err.removeprefix("windlass: ").strip() == warning
    with output.open(newline="") as file:
        assert [row["model_version"] for row in csv.DictReader(file)] == [version]


@pytest.mark.parametrize("words", [("v1",), ("v2",), ("v3",)])
def test_a_version_that_is_not_in_production_is_served_only_by_its_name(
    words: tuple[str, ...], home: RegistryHome, tmp_path: Path
) -> None:
    server = Server.of(tmp_path / "iris", home=home.home, options=[*words, "--workers", "2"])
    try:
        answer = server.wait().client.post("/predict", json=ROW)
        assert answer.json()["model_version"] == words[0]
        assert server.client.get("/versions").status_code == 404  # nothing is decided about it
        home.registry.approve("iris", "v2", **WHO)
        assert server.client.post("/predict", json=ROW).json()["model_version"] == words[0]
    finally:
        server.stop()
    warnings = {line["detail"] for line in server.lines("not in production")}
    assert warnings == set(filter(None, [STAGES[words][1]]))


def test_a_bundle_by_its_path_has_the_name_of_its_version(
    home: RegistryHome, tmp_path: Path
) -> None:
    server = Server.of(tmp_path / "one", home=home.home)
    try:
        assert server.wait().client.post("/predict", json=ROW).json()["model_version"] == "v1"
    finally:
        server.stop()


def test_two_versions_of_one_project_are_not_served_together(home: RegistryHome) -> None:
    done = run_cli("serve", "iris", "v1", "v2", home=home.home)
    assert (done.code, done.error_lines) == (2, [
        "windlass: A server serves one version of each project, not v1 and v2."
    ])  # fmt: skip
    done = run_cli("serve", "iris", "v9", home=home.home)
    assert done.code == 1
    assert "v9" in done.err
    done = run_cli("serve", "nobody", "v1", home=home.home)
    assert (done.code, "no project nobody" in done.err) == (1, True)


def test_an_experiment_never_stands_in_for_the_registry_silently(
    home: RegistryHome, rows: Path, tmp_path: Path
) -> None:
    words = ["predict", tmp_path / "iris", "--input", rows, "--output", tmp_path / "out.csv"]
    done = run_cli(*words, home=tmp_path / "empty")
    assert done.code == 0
    assert "not in the registry" in done.err
    assert "experiment" in done.err
    other = RegistryHome(tmp_path / "other")
    other.registry.declare(ProjectSpec(name="iris", folder=str(tmp_path / "iris")))
    done = run_cli(*words, home=other.home)
    assert done.code == 1
    assert "no version in production" in done.err
