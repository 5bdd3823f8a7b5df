import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from windlass.cli import train as command
from windlass.cli.train_flags import split_folder
from windlass.core.bundle import Bundle
from windlass.core.project_loader import load_project

ROOT = Path(__file__).parents[2]
IRIS = ROOT / "examples" / "iris"
MIXED = ROOT / "tests" / "projects" / "mixed"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`windlass train`, in this process: exit code, stdout and stderr. Writes to tmp_path/bundle."""
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))

    def call(*arguments: object) -> tuple[int, str, str]:
        words = [*map(str, arguments), "--no-track"]
        if "--artifacts" not in words:
            words += ["--artifacts", str(tmp_path / "bundle")]
        try:
            code = command.run(words)
        except SystemExit as exit_:
            code = int(str(exit_.code))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def _train_py(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=IRIS,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def test_train_py_trains_what_the_command_trains(run: Run, tmp_path: Path) -> None:
    script, place = tmp_path / "script", tmp_path / "bundle"
    arguments = ["--model", "rf", "--n-estimators", "30", "--seed", "42", "--test-size", "0.2"]
    done = _train_py(*arguments, "--artifacts", str(script), "--no-track")
    assert done.returncode == 0, done.stderr
    for text in ("rf", "n_estimators = 30", "accuracy", "macro F1", str(script)):
        assert text in done.stdout
    assert "Fitting rf to 120 rows" in done.stderr
    assert run(IRIS, *arguments)[0] == 0
    ours, theirs = Bundle.open(place), Bundle.open(script)
    for name in ("metrics.json", "params.json", "confusion_matrix.json", "golden.json"):
        assert ours.read(name) == theirs.read(name)
    assert ours.manifest.source_digest == theirs.manifest.source_digest
    assert ours.manifest.data_digest == theirs.manifest.data_digest


def test_train_py_refuses_in_one_line(tmp_path: Path) -> None:
    refused = _train_py("--C", "0", "--artifacts", str(tmp_path / "bundle"))
    assert refused.returncode == 1
    assert refused.stderr == (
        "windlass: Model logreg cannot use C = 0: Input should be greater than 0.\n"
    )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
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
    ],
)
def test_what_cannot_be_trained_is_one_clear_line(
    run: Run, arguments: list[str], told: str
) -> None:
    code, out, err = run(IRIS, *arguments)
    errors = [line for line in err.splitlines() if line.startswith("windlass: ")]
    assert (code, out, len(errors)) == (1, "", 1)
    assert told in errors[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["--frobnicate"], ["--seed", "x"], ["--test-size", "half"], ["--C"], ["stray"]]
)
def test_bad_usage_is_code_2(run: Run, arguments: list[str]) -> None:
    code, out, err = run(IRIS, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "--help" in err


def test_a_folder_without_a_project_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run(tmp_path)
    assert code == 1
    assert "No project.py" in err


def test_the_help_shows_every_hyperparameter(run: Run) -> None:
    code, out, _ = run(IRIS, "--help")
    text = " ".join(out.split())
    assert code == 0
    assert "logreg, rf (default logreg)" in text
    assert "Inverse strength of the regularisation (number, > 0, default 1.0)" in text
    assert "Number of trees (integer, >= 1, <= 2000, default 100)" in text
    assert "(integer or none, >= 1, default none)" in text
    assert "--n-estimators" in text


def test_the_help_needs_no_project(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "--help")
    assert code == 0
    assert "Name a folder with a project.py" in out


def test_flags_carry_choices_booleans_and_none(run: Run, tmp_path: Path) -> None:
    assert run(MIXED, "--strategy", "mean", "--balanced")[0] == 0
    params = Bundle.open(tmp_path / "bundle").json("params.json")
    assert (params["strategy"], params["balanced"]) == ("mean", True)
    assert run(MIXED, "--no-balanced")[0] == 0
    assert Bundle.open(tmp_path / "bundle").json("params.json")["balanced"] is False
    assert "'mean' or 'median'" in run(MIXED, "--strategy", "mode")[2]
    assert run(IRIS, "--model", "rf", "--n_estimators", 5, "--max-depth", "none")[0] == 0
    assert Bundle.open(tmp_path / "bundle").json("params.json")["max_depth"] is None


def test_json_is_all_that_is_printed(run: Run, tmp_path: Path) -> None:
    code, out, err = run(IRIS, "--json")
    assert (code, err) == (0, "")
    summary = json.loads(out)
    bundle = Bundle.open(tmp_path / "bundle")
    assert summary["digest"] == bundle.digest
    assert summary["metrics"] == bundle.json("metrics.json")
    assert summary["params"] == bundle.json("params.json")
    assert summary["tracked"] is None


def test_gates_that_fail_are_told(run: Run) -> None:
    code, out, _ = run(MIXED)
    assert code == 0
    assert "accuracy >= 0.999: FAILED" in out
    assert "cannot be approved" in out


def test_the_current_folder_is_the_default_project(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(IRIS)
    assert run("--C", "2")[0] == 0
    assert Bundle.open(tmp_path / "bundle").json("params.json")["C"] == 2.0


def test_the_source_of_a_loaded_project_is_its_folder() -> None:
    from windlass.core.project_loader import project_source

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
