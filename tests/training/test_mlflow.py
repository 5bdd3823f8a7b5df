import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.paths import IRIS

from windlass.core.bundle import Bundle
from windlass.core.project_loader import load_project
from windlass.settings import Settings
from windlass.training import mlflow
from windlass.training.plan import TrainingRequest
from windlass.workflows.train import TrainingResult, train

Train = Callable[..., TrainingResult]


@pytest.fixture
def trained(tmp_path: Path) -> Train:
    def run(uri: str | None = None, *, track: bool = True) -> TrainingResult:
        project, source = load_project(IRIS)
        settings = Settings(home=tmp_path / "home", tracking_uri=uri)
        return train(project, source, TrainingRequest(tmp_path / "b", track=track), settings)

    return run


def test_a_run_is_recorded_in_the_home_folder(trained: Train, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    result = trained()
    assert result.untracked is None
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("iris")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model": "logreg", "seed": "42", "test_size": "0.2", "C": "1.0"}
    assert run.data.metrics == pytest.approx(result.metrics)
    assert run.data.tags["windlass.bundle_digest"] == result.bundle.digest
    assert run.data.tags["windlass.data_digest"] == result.bundle.manifest.data_digest
    (recorded,) = (tmp_path / "home" / "mlartifacts").rglob("bundle")
    assert Bundle.open(recorded).digest == result.bundle.digest


class _Client:
    """Stands in for MLflow's client and records its calls."""

    def __init__(self, notes: list[Any], broken: str | None = None) -> None:
        self.notes, self.broken = notes, broken

    def __call__(self, tracking_uri: str) -> "_Client":
        self.notes.append(tracking_uri)
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if name == self.broken:
                raise RuntimeError("no route to https://me:secret@host\nsecond line")
            self.notes.append((name, *args))
            return SimpleNamespace(info=SimpleNamespace(run_id="r1"), experiment_id="7")

        return called


def _install(monkeypatch: pytest.MonkeyPatch, client: _Client) -> None:
    monkeypatch.setattr(mlflow, "mlflow_installed", lambda: True)
    monkeypatch.setattr("windlass.workflows.train.mlflow_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=client))


def test_parameters_metrics_and_bundle_are_recorded(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[Any] = []
    _install(monkeypatch, _Client(notes))
    result = trained("https://me:secret@host/mlflow")
    assert result.tracked == "https://***@host/mlflow, run r1"
    assert notes[0] == "https://me:secret@host/mlflow"
    assert ("log_param", "r1", "C", 1.0) in notes
    assert ("log_metric", "r1", "accuracy", result.metrics["accuracy"]) in notes
    assert ("log_artifacts", "r1", str(result.bundle.path)) in notes
    assert notes[-1] == ("set_terminated", "r1")


@pytest.mark.parametrize("broken", ["create_run", "log_artifacts"])
def test_a_failure_to_record_keeps_the_bundle_and_no_secret(
    trained: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    notes: list[Any] = []
    _install(monkeypatch, _Client(notes, broken))
    result = trained("https://me:secret@host/mlflow")
    assert result.tracked is None
    assert result.untracked is not None
    assert "RuntimeError: no route to https://***@host second line" in result.untracked
    assert "secret" not in result.untracked
    assert Bundle.open(tmp_path / "b").digest == result.bundle.digest
    assert (("set_terminated", "r1", "FAILED") in notes) == (broken == "log_artifacts")


def test_no_track_and_no_mlflow_record_nothing(
    trained: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes: list[Any] = []
    _install(monkeypatch, _Client(notes))
    assert trained(track=False).tracked is None
    monkeypatch.setattr("windlass.workflows.train.mlflow_installed", lambda: False)
    result = trained()
    assert (result.tracked, result.untracked, notes) == (None, None, [])
    assert not (tmp_path / "home").exists()
