import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.support.child_process import ChildProcess, python_command

from windlass.core.bundle import Bundle
from windlass.engines.loader import load_engine
from windlass.errors import BundleError, IntegrityError, ParameterError, ProjectError
from windlass.workflows.train import TrainingResult

Copy = Callable[[str], Path]
Train = Callable[..., TrainingResult]
REPEATABLE = (
    "metrics.json", "params.json", "data_checks.json", "confusion_matrix.json", "golden.json", "profile.json",
    "holdout.npz",
)  # fmt: skip
FILES = {
    "model.joblib",
    "model.onnx",
    "schema.json",
    "environment.json",
    "card.md",
    *REPEATABLE,
}


def test_a_bundle_holds_every_file_and_opens(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    result = trained(folder)
    assert {file.name for file in (folder / "artifacts").iterdir()} == FILES | {"manifest.json"}
    bundle = Bundle.open(folder / "artifacts")
    assert bundle.digest == result.bundle.digest
    assert set(bundle.manifest.files) == FILES
    assert bundle.manifest.engine.name == "onnx"
    assert [gate.passed for gate in bundle.manifest.gates] == [True, True]
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_the_same_arguments_give_the_same_bytes(copy: Copy, trained: Train, tmp_path: Path) -> None:
    folder = copy("iris")
    request = {"model": "rf", "hyperparameters": {"n_estimators": 20}, "seed": 3}
    first = trained(folder, artifacts=tmp_path / "first", **request).bundle
    second = trained(folder, artifacts=tmp_path / "second", **request).bundle
    for name in REPEATABLE:
        assert first.read(name) == second.read(name), name
    assert first.manifest.data_digest == second.manifest.data_digest
    created = [datetime.fromisoformat(bundle.manifest.created) for bundle in (first, second)]
    assert any(time.microsecond for time in created)  # two versions, also within a second
    assert first.digest != second.digest
    other = trained(folder, artifacts=tmp_path / "third", **request | {"seed": 4}).bundle
    assert other.read("metrics.json") != first.read("metrics.json")


@pytest.mark.parametrize(
    ("name", "model"),
    [("mixed", None), ("diabetes", "ridge"), ("diabetes", "boosting"), ("cancer", None)],
)
def test_the_engine_of_a_bundle_answers_as_the_pipeline_did(
    copy: Copy, trained: Train, name: str, model: str | None
) -> None:
    bundle = trained(copy(name), model=model).bundle
    assert bundle.manifest.engine.name == "onnx", bundle.manifest.engine.reason
    assert load_engine(bundle).name == "onnx"  # raises unless it reproduces the reference examples


def test_a_mixed_project_seals_its_missing_values(copy: Copy, trained: Train) -> None:
    bundle = trained(copy("mixed")).bundle
    examples = bundle.json("golden.json")
    holes = {name for row in examples["rows"] for name, value in row.items() if value is None}
    assert {"income", "city", "opened"} <= holes
    assert {answer["label"] for answer in examples["expected"]} == {False, True}
    shares = {
        column["name"]: column["missing"] for column in bundle.json("profile.json")["columns"]
    }
    assert shares["age"] == 0 < shares["income"] < 0.3
    metrics = bundle.json("metrics.json")
    assert metrics["roc_auc"] > 0.7
    assert "recall_true" in metrics
    assert [gate.passed for gate in bundle.manifest.gates] == [True, False]


def test_a_regression_has_its_own_metrics_and_no_confusion_matrix(
    copy: Copy, trained: Train
) -> None:
    bundle = trained(copy("diabetes")).bundle
    assert set(bundle.json("metrics.json")) == {"mae", "rmse", "r2", "test_rows", "train_rows"}
    assert "confusion_matrix.json" not in bundle.manifest.files
    assert set(bundle.json("golden.json")["expected"][0]) == {"value"}
    assert all(gate.passed for gate in bundle.manifest.gates)


def test_progress_rises_to_one(copy: Copy, trained: Train) -> None:
    reports: list[tuple[float, str]] = []
    trained(copy("iris"), progress=lambda share, message: reports.append((share, message)))
    shares = [share for share, _ in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(reports) >= 6


@pytest.mark.parametrize("obstacle", ["file", "foreign", "inside"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    copy: Copy, trained: Train, tmp_path: Path, obstacle: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    target = {"inside": tmp_path / "file" / "artifacts"}.get(obstacle, tmp_path / obstacle)
    reports: list[str] = []
    with pytest.raises(BundleError, match="Choose another folder"):
        trained(copy("iris"), artifacts=target, progress=lambda share, text: reports.append(text))
    assert reports == []
    assert (tmp_path / "foreign" / "thesis.txt").read_text() == "mine"


def test_a_full_disk_is_one_line_and_leaves_the_old_bundle(
    copy: Copy, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("iris")
    before = trained(folder).bundle.digest

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "model.joblib")

    monkeypatch.setattr("windlass.workflows.train.write_metadata", full)
    with pytest.raises(BundleError, match=r"Cannot write model\.joblib: No space left on device"):
        trained(folder, seed=1)
    assert Bundle.open(folder / "artifacts").digest == before
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_a_refused_run_leaves_the_old_bundle(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    before = trained(folder).bundle.digest
    with pytest.raises(ParameterError):
        trained(folder, test_size=0.001)
    assert Bundle.open(folder / "artifacts").digest == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from windlass.core.project_loader import load_project
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.train import train

folder, calls = Path(sys.argv[1]), 0
project, source = load_project(folder)

def run(step):
    def deadly(event, args):
        # every file opened, made, renamed or removed beside the bundle is a moment to die at
        global calls
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"):
            if isinstance(args[0], (str, bytes, os.PathLike)) and ".artifacts" in os.fsdecode(args[0]):
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(deadly)
    train(project, source, TrainingRequest(folder / "artifacts", seed=1, track=False), Settings())

print("ready", flush=True)
for line in sys.stdin:  # each run is a process of its own, which need not import everything once more
    child = os.fork()
    if child == 0:
        run(int(line))
        os._exit(calls)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer(ChildProcess):
    """Trains a project in processes that are killed before a write of a number; 0 is none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(python_command(_KILLED, folder), new_group=True, warm=True)
        assert self.read_line() == "ready"

    def begin(self, step: int = 0) -> None:
        self.write_line(str(step))

    def status(self) -> int:
        """The exit status of the run: its number of writes, or the signal that ended it."""
        return int(self.read_line())


@pytest.fixture
def killer(copy: Copy) -> Iterator[tuple[Path, Killer]]:
    """A copy of Iris, and what kills its trainings."""
    folder = copy("iris")
    with Killer(folder) as runs:
        yield folder, runs


def test_a_run_killed_at_any_write_leaves_the_old_bundle_or_the_new(
    killer: tuple[Path, Killer], trained: Train
) -> None:
    folder, runs = killer
    trained(folder)
    runs.begin()
    steps = runs.status()
    assert steps > 6
    outcomes = set()
    for step in np.linspace(1, steps, 6).round().astype(int).tolist():
        old = trained(folder).bundle.digest  # and removes what the last one left behind
        runs.begin(step)
        assert runs.status() == -signal.SIGKILL, step
        now = Bundle.open(folder / "artifacts")
        outcomes.add("old" if now.digest == old else now.json("params.json")["seed"])
    assert outcomes == {"old", 1}  # the first step is before the exchange, the last one after it
    trained(folder)
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_a_run_killed_by_the_clock_leaves_a_whole_bundle(
    killer: tuple[Path, Killer], trained: Train
) -> None:
    folder, runs = killer
    trained(folder)
    for _ in range(20):  # one after the other
        runs.begin()
    time.sleep(0.5 + np.random.default_rng(7).random())  # any moment will do
    runs.kill_group()
    Bundle.open(folder / "artifacts")


def test_an_altered_bundle_does_not_open(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    trained(folder)
    metrics = folder / "artifacts" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"accuracy": 1.0}))
    with pytest.raises(IntegrityError, match=r"metrics\.json is not the file that was sealed"):
        Bundle.open(folder / "artifacts")


def test_without_an_exchange_call_two_renames_do(
    copy: Copy, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("iris")
    trained(folder)
    monkeypatch.setattr("windlass.core.bundle_writer.sys.platform", "other")
    for seed in (1, 2):
        trained(folder, seed=seed)
        assert Bundle.open(folder / "artifacts").json("params.json")["seed"] == seed
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_a_gate_on_what_is_not_measured_is_refused(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    source = folder / "project.py"
    source.write_text(source.read_text().replace('"accuracy"', '"acuracy"'))
    with pytest.raises(ProjectError, match=r"'acuracy', which is not measured.*accuracy"):
        trained(folder)
    assert not (folder / "artifacts").exists()
