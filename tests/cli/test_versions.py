"""`windlass versions | show | compare | prune`, over a registry with three versions."""

import shutil
from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.paths import IRIS
from tests.support.trained_bundles import BundleOf

from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture(autouse=True)
def home(home_with_versions: Path) -> Path:
    return home_with_versions


def test_versions_are_listed_newest_first() -> None:
    lines = run_cli("versions", IRIS).out.splitlines()
    assert lines[0].split() == [
        "version", "stage", "trained", "by", "model", "metrics", "gates", "digest"
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines[1:]] == [
        ["v3", "candidate"], ["v2", "candidate"], ["v1", "candidate"]
    ]  # fmt: skip
    assert "2 FAILED" in lines[1]
    assert "2 passed" in lines[2]


def test_a_project_is_located_by_name_and_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_name = run_cli("versions", "iris", "--json").json()
    monkeypatch.chdir(IRIS)
    assert run_cli("versions", "--json").json() == by_name
    assert [item["version"] for item in by_name] == ["v3", "v2", "v1"]


def test_a_moved_folder_is_recognised_by_the_name_of_its_project(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "project.py").write_bytes((IRIS / "project.py").read_bytes())
    assert len(run_cli("versions", moved, "--json").json()) == 3


def test_an_unknown_version_is_one_line(tmp_path: Path) -> None:
    ended = run_cli("versions", tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"windlass: There is no project at {tmp_path}")
    assert len(ended.err.splitlines()) == 1
    ended = run_cli("show", "iris", "v9")
    assert ended.code == 1
    assert "v9" in ended.err


@pytest.mark.parametrize(
    "command",
    [
        ("versions", "iris"), ("show", "iris"), ("compare", "iris", "v1", "v2"), ("prune", "iris"),
        ("decisions", "--verify"), ("approve", "iris", "-m", "good"), ("reject", "iris", "-m", "bad"),
        ("rollback", "iris", "-m", "slow"),
    ],
)  # fmt: skip
def test_without_a_training_no_registry_is_created(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    monkeypatch.setenv("WINDLASS_HOME", str(fresh))
    ended = run_cli(*command)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert "`windlass train` makes it" in ended.err
    assert not fresh.exists()


def test_show_prints_all_fields_of_a_version(home: Path) -> None:
    run_cli("approve", "iris", "v2", "-m", "good on all three species")
    output = run_cli("show", "iris", "v2").out
    for wanted in (
        "production",
        "seed = 2",
        "gate                  accuracy >= 0.9: passed",
        "good on all three species",
        str(home / "models" / "iris" / "v2"),
    ):
        assert wanted in output
    facts = run_cli("show", "iris", "v3", "--json").json()
    assert (facts["version"], facts["stage"], facts["trained_by"]) == ("v3", "candidate", "ana")
    assert facts["params"]["seed"] == 3
    assert facts["metrics"]["accuracy"] < 0.9
    assert facts["decisions"] == []
    approved = run_cli("show", "iris", "v2", "--json").json()
    assert approved["decisions"] == run_cli("decisions", "iris", "--json").json()
    assert isinstance(approved["decisions"][0]["decided_at"], float)


def test_show_takes_the_version_in_production_by_default() -> None:
    assert run_cli("show", "iris", "--json").json()["version"] == "v3", "none is in production"
    run_cli("approve", "iris", "v1", "-m", "good")
    assert run_cli("show", "iris", "--json").json()["version"] == "v1"
    assert run_cli("show", "iris", "v3", "--json").json()["version"] == "v3"
    text = " ".join(run_cli("show", "--help").out.split())
    assert "the version in production, otherwise the newest" in text


def test_compare_prints_common_rows_and_intervals() -> None:
    output = run_cli("compare", IRIS, "v1", "v2").out
    assert "rows that both held out" in output
    assert "v1 - v2" in output
    facts = run_cli("compare", "iris", "v1", "v2", "--json").json()
    assert facts["versions"] == ["v1", "v2"]
    assert 0 < facts["rows"] < 30
    swapped = run_cli("compare", "iris", "v2", "v1", "--json").json()
    accuracy, turned = facts["metrics"][0], swapped["metrics"][0]
    assert accuracy["difference"] == -turned["difference"]


@pytest.mark.parametrize(
    "arguments",
    [("compare", "iris", "v1"), ("compare", "v1", "v2", "v3"), ("show", "iris", "loan")],
)
def test_too_few_or_too_many_is_bad_usage(arguments: tuple[str, ...]) -> None:
    ended = run_cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Use: windlass" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [("show", "iris", "nine"), ("verify", "iris", "nine"), ("compare", "iris", "v1", "nine")],
)
def test_what_is_no_version_is_named(arguments: tuple[str, ...]) -> None:
    ended = run_cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(
        "windlass: 'nine' is not a version; versions are written v1, v2, …. Use: windl"
    )
    assert "Too many arguments" in run_cli("show", "iris", "nine", "v9").err


def test_prune_keeps_production_and_what_a_rollback_returns_to(home: Path) -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    run_cli("approve", "iris", "v2", "-m", "better")
    assert run_cli("prune", "iris", "--keep", "0", "--json").json() == ["v3"]
    assert sorted(path.name for path in (home / "models" / "iris").iterdir()) == ["v1", "v2"]
    assert "(pruned)" in run_cli("versions", "iris").out
    assert run_cli("prune", "iris", "--keep", "0").out == "There was nothing to remove.\n"
    ended = run_cli("approve", "iris", "v3", "-m", "good")
    assert ended.code == 1


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """The options that name a file of one row, and the file of its prediction."""
    rows = tmp_path / "rows.csv"
    rows.write_text("sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n")
    return ("--input", str(rows), "--output", str(tmp_path / "out.csv"))


def test_predict_takes_what_is_in_production(files: tuple[str, ...], tmp_path: Path) -> None:
    for target in ("iris", IRIS):
        ended = run_cli("predict", target, *files)
        assert (ended.code, ended.out) == (1, "")
        assert "Project iris has no version in production. Approve one, or name" in ended.err
    assert not (tmp_path / "out.csv").exists()
    run_cli("approve", "iris", "v1", "-m", "first")
    for target in ("iris", IRIS):
        ended = run_cli("predict", target, *files, "--json")
        assert (ended.json()["model_version"], ended.err) == ("v1", "")
    assert " with v1: " in run_cli("predict", "iris", *files).out


def test_predict_takes_another_version_by_name_and_says_what_it_is(
    files: tuple[str, ...], tmp_path: Path
) -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    run_cli("approve", "iris", "v2", "-m", "second")
    ended = run_cli("predict", "iris", "v3", *files, "--json")
    assert ended.json()["model_version"] == "v3"
    assert (tmp_path / "out.csv").read_text().splitlines()[1].endswith('"v3"')
    assert ended.err.startswith(
        "windlass: iris v3 is a candidate, and did not pass accuracy >= 0.9"
    )
    run_cli("reject", "iris", "v3", "-m", "worse")
    assert "iris v3 is rejected, and did not pass" in run_cli("predict", "iris", "v3", *files).err
    assert "v1 is an archived version." in run_cli("predict", "iris", "v1", *files).err
    assert run_cli("predict", "iris", "v9", *files).code == 1


def test_predict_names_a_bundle_as_the_registry_does(
    files: tuple[str, ...], home: Path, bundle_of: BundleOf
) -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    by_path = run_cli("predict", home / "models" / "iris" / "v2", *files, "--json")
    assert by_path.json()["model_version"] == "v2"
    assert by_path.err == "windlass: iris v2 is a candidate.\n"
    registered = run_cli("predict", bundle_of("iris", seed=1), *files, "--json")
    assert (registered.json()["model_version"], registered.err) == ("v1", "")
    unknown = run_cli("predict", bundle_of("iris", seed=77), *files, "--json")
    assert len(unknown.json()["model_version"]) == 12


def test_experiments_do_not_stand_in_for_the_registry(
    files: tuple[str, ...], tmp_path: Path, bundle_of: BundleOf
) -> None:
    folder = tmp_path / "iris"
    shutil.copytree(IRIS, folder, ignore=shutil.ignore_patterns("artifacts"))
    shutil.copytree(bundle_of("iris", seed=2), folder / "artifacts")
    registry = Registry.open(Settings.read())
    declared = registry.declaration("iris").model_copy(update={"folder": str(folder)})
    registry.declare(declared)
    registry.close()
    assert run_cli("predict", folder, *files).code == 1
    ended = run_cli("predict", folder / "artifacts", *files, "--json")
    assert ended.json()["model_version"] == "v2"


def test_a_copied_folder_takes_what_is_in_production(
    files: tuple[str, ...], tmp_path: Path, bundle_of: BundleOf
) -> None:
    """Not its `artifacts`, an experiment or a candidate, because the registry has another folder."""
    folder = tmp_path / "copied"
    shutil.copytree(bundle_of("iris", seed=2), folder / "artifacts")
    assert run_cli("predict", folder, *files).code == 1
    run_cli("approve", "iris", "v1", "-m", "first")
    assert run_cli("predict", folder, *files, "--json").json()["model_version"] == "v1"


def test_artifacts_do_not_stand_in_for_a_missing_database(
    files: tuple[str, ...], home: Path, tmp_path: Path, bundle_of: BundleOf
) -> None:
    shutil.copytree(bundle_of("iris", seed=2), tmp_path / "iris" / "artifacts")
    for file in home.glob("windlass.db*"):
        file.unlink()
    ended = run_cli("predict", tmp_path / "iris", *files)
    assert ended.code == 1
    assert "There is no database file" in ended.err
    assert run_cli("serve", tmp_path / "iris", "--port", "0").code == 1


def test_verify_takes_a_version() -> None:
    output = run_cli("verify", "iris", "v3", "--json").json()
    assert (output["equal"], output["version"]) == (True, "v3")
