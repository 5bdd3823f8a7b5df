"""`windlass versions | show | compare | prune`, over a registry with three versions."""

from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.paths import IRIS


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


def test_predict_and_verify_take_a_version(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n")
    out = tmp_path / "out.csv"
    options = ("--input", rows, "--output", out, "--json")
    assert run_cli("predict", "iris", "v3", *options).json()["model_version"] == "v3"
    assert out.read_text().splitlines()[1].endswith('"v3"')
    assert run_cli("predict", "iris", *options).json()["model_version"] == "v3", "the newest"
    run_cli("approve", "iris", "v1", "-m", "first")
    assert run_cli("predict", IRIS, *options).json()["model_version"] == "v1"
    output = run_cli("verify", "iris", "v3", "--json").json()
    assert (output["equal"], output["version"]) == (True, "v3")
