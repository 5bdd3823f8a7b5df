"""`windlass train` and a project's `train.py`: flags, help, refusals, and what a training prints."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from tests.support import child_process
from tests.support.child_process import Finished
from tests.support.cli import run_cli, run_train_command
from tests.support.paths import IRIS, project_folder

from windlass.cli.train_flags import TrainFlags, parse_train_flags, split_folder
from windlass.core.bundle import Bundle
from windlass.core.project import Project
from windlass.core.project_loader import load_project, project_source
from windlass.core.project_spec import CandidateSpec, ProjectSpec

MIXED = project_folder("mixed")
PROG = "windlass train [PROJECT]"
Run = Callable[..., Finished]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`windlass train`, in this process. Writes to tmp_path/bundle."""

    def train(*arguments: object) -> Finished:
        words = [*map(str, arguments), "--no-track"]
        if "--artifacts" not in words:
            words += ["--artifacts", str(tmp_path / "bundle")]
        return run_cli("train", *words, home=tmp_path / "home")

    return train


@cache
def loaded(folder: Path) -> Project:
    """A project, loaded once."""
    return load_project(folder)[0]


def models(folder: Path) -> Sequence[CandidateSpec]:
    """The models that a project declares."""
    return ProjectSpec.from_project(loaded(folder), project_source(loaded(folder))).models


def flags(folder: Path, *arguments: str) -> TrainFlags:
    """The flags of a training of a project's models."""
    return parse_train_flags(PROG, models(folder), arguments)


def test_train_py_trains_what_the_command_trains(run: Run, tmp_path: Path) -> None:
    script, target = tmp_path / "script", tmp_path / "bundle"
    arguments = ["--model", "rf", "--n-estimators", "30", "--seed", "42", "--test-size", "0.2"]
    command = [sys.executable, "train.py", *arguments, "--artifacts", script, "--no-track"]
    ended = child_process.run(command, cwd=IRIS, warm=True)
    output = ended.check()
    for text in ("rf", "n_estimators = 30", "accuracy", "macro F1", str(script)):
        assert text in output
    assert "Fitting rf to 120 rows" in ended.err
    assert run(IRIS, *arguments).code == 0
    ours, theirs = Bundle.open(target), Bundle.open(script)
    for name in ("metrics.json", "params.json", "confusion_matrix.json", "golden.json"):
        assert ours.read(name) == theirs.read(name)
    assert ours.manifest.source_digest == theirs.manifest.source_digest
    assert ours.manifest.data_digest == theirs.manifest.data_digest


def test_train_py_refuses_in_one_line(tmp_path: Path) -> None:
    refused = run_train_command(loaded(IRIS), "--C", "0", "--artifacts", tmp_path / "bundle")
    assert refused.code == 1
    assert refused.err == (
        "windlass: Model logreg cannot use C = 0: Input should be greater than 0.\n"
    )
    assert not (tmp_path / "bundle").exists()


REFUSED = [
    (["--test-size", "0"], "not between 0 and 1"),
    (["--test-size", "1"], "not between 0 and 1"),
    (["--test-size", "nan"], "not between 0 and 1"),
    (["--test-size", "0.01"], "Test size 0.01"),
    (["--model", "svm"], "Choose one of: logreg, rf"),
    (["--n-estimators", "5"], "n_estimators is a hyperparameter of rf"),
    (["--model", "rf", "--C", "1"], "C is a hyperparameter of logreg"),
    (["--C", "0"], "greater than 0"),
    (["--C", "-1"], "greater than 0"),
    (["--C", "nan"], "finite"),
    (["--C", "much"], "valid number"),
    (["--model", "rf", "--n-estimators", "2.5"], "valid integer"),
    (["--seed", "-1"], "Seed -1"),
    (["--artifacts", "/proc/nowhere/bundle"], "Choose another folder"),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED)
def test_what_cannot_be_trained_is_one_clear_line(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    artifacts = () if "--artifacts" in arguments else ("--artifacts", tmp_path / "bundle")
    refused = run_train_command(loaded(IRIS), *arguments, "--no-track", *artifacts)
    assert (refused.code, refused.out, len(refused.error_lines)) == (1, "", 1)
    assert reason in refused.error_lines[0]
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(("arguments", "reason"), [REFUSED[0], REFUSED[5], REFUSED[-1]])
def test_the_command_refuses_as_train_py_does(run: Run, arguments: list[str], reason: str) -> None:
    refused = run(IRIS, *arguments)
    assert (refused.code, refused.out, len(refused.error_lines)) == (1, "", 1)
    assert reason in refused.error_lines[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--frobnicate"], "No such option '--frobnicate'"),
        (["--seed", "x"], "'--seed': 'x' is not a valid integer"),
        (["--test-size", "half"], "'--test_size': 'half' is not a valid float"),
        (["--C"], "'--C' requires an argument"),
        (["--C", "--json"], "'--C' requires an argument"),
        (["stray"], "unexpected extra argument (stray)"),
    ],
)
def test_bad_usage_is_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        flags(IRIS, *arguments)
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert reason in err
    assert err.endswith(f" See {PROG} --help.\n")


def test_bad_usage_of_the_command_is_code_2(run: Run) -> None:
    ended = run(IRIS, "--frobnicate")
    assert (ended.code, ended.out, len(ended.error_lines)) == (2, "", 1)


def test_a_folder_without_a_project_is_refused(run: Run, tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.code == 1
    assert "No project.py" in ended.err


def test_the_help_shows_every_hyperparameter(run: Run) -> None:
    ended = run(IRIS, "--help")
    text = " ".join(ended.out.split())
    assert ended.code == 0
    assert "logreg, rf (default logreg)" in text
    assert "Inverse strength of the regularisation (number, > 0, default 1.0)" in text
    assert "Number of trees (integer, >= 1, <= 2000, default 100)" in text
    assert "(integer or none, >= 1, default none)" in text
    assert "--n-estimators" in text
    assert "model rf: Random forest on standardised measurements." in text


def test_the_help_needs_no_project(run: Run, tmp_path: Path) -> None:
    ended = run(tmp_path, "--help")
    assert ended.code == 0
    assert "Name a project, by its folder or name" in ended.out


def test_flags_carry_choices_booleans_and_none() -> None:
    given = flags(MIXED, "--strategy", "mean", "--balanced")
    assert given.hyperparameters == {"strategy": "mean", "balanced": True}
    assert flags(MIXED, "--no-balanced").hyperparameters == {"balanced": False}
    assert flags(MIXED).hyperparameters == {}
    given = flags(IRIS, "--model", "rf", "--n_estimators", "5", "--max-depth", "none")
    assert given.model == "rf"
    assert given.hyperparameters == {"n_estimators": 5, "max_depth": None}
    assert flags(IRIS, "--C", "-1", "--seed=7") == TrainFlags(hyperparameters={"C": -1}, seed=7)


def test_flags_reach_the_bundle_and_failed_gates_are_printed(run: Run, tmp_path: Path) -> None:
    ended = run(MIXED, "--strategy", "mean", "--balanced")
    assert ended.code == 0
    assert "accuracy >= 0.999: FAILED" in ended.out
    assert "cannot be approved" in ended.out
    params = Bundle.open(tmp_path / "bundle").json("params.json")
    assert (params["strategy"], params["balanced"]) == ("mean", True)


def test_an_unknown_choice_is_refused() -> None:
    assert "'mean' or 'median'" in run_train_command(loaded(MIXED), "--strategy", "mode").err


def test_json_is_all_that_is_printed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(IRIS)  # the default project
    ended = run("--C", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    summary = ended.json()
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.json("params.json")["C"] == 2.0
    assert summary["digest"] == bundle.digest
    assert summary["metrics"] == bundle.json("metrics.json")
    assert summary["params"] == bundle.json("params.json")
    assert summary["tracked"] is None


def test_the_source_of_a_loaded_project_is_its_folder() -> None:
    project, source = load_project(IRIS)
    assert project_source(project) == source


@pytest.mark.parametrize("before", [["--seed", "1"], ["--no-track"], ["--C=0.5"], ["--C", "0.5"]])
def test_the_project_may_stand_after_options(before: list[str]) -> None:
    folder, rest = split_folder([*before, "examples/iris", "--json"])
    assert folder == Path("examples/iris")
    assert rest == [*before, "--json"]


def test_no_project_is_the_current_folder() -> None:
    assert split_folder(["--seed", "1", "--model", "rf"]) == (
        Path(),
        ["--seed", "1", "--model", "rf"],
    )
