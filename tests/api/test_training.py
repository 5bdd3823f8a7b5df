"""`windlass.train`: a job as `windlass train` makes it, or a project of a notebook in this process; no call exits."""

import _thread
import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from tests.support.child_process import run_python
from tests.support.job_workers import UNRULY
from tests.support.paths import IRIS

import windlass
from windlass.errors import JobError, ParameterError, ProjectError, WindlassError
from windlass.jobs.job import JobState
from windlass.jobs.queue import JobQueue
from windlass.workflows.project_lookup import open_registry, settings_near


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


def test_a_folder_trains_as_a_job_inside_a_running_event_loop(tmp_path: Path) -> None:
    seen: list[tuple[float, str, bool]] = []
    main = threading.main_thread()

    def progress(share: float, message: str) -> None:
        seen.append((share, message, threading.current_thread() is main))

    async def cell() -> windlass.Version:
        return windlass.train(
            IRIS, C=2.0, seed=7, track=False, artifacts=tmp_path / "copy", progress=progress
        )

    version = asyncio.run(cell())
    assert (version.name, version.stage) == ("v1", "production")  # by the policy of Iris
    assert version.params == {"model": "logreg", "seed": 7, "test_size": 0.2, "C": 2.0}
    assert version.job_id is not None
    assert all(in_main for _, _, in_main in seen)
    shares = [share for share, _, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert windlass.Bundle.open(tmp_path / "copy").digest == version.digest
    assert windlass.load("iris").version == "v1"


def test_what_cannot_be_trained_is_an_error_of_windlass(tmp_path: Path) -> None:
    for arguments, kind, message in (
        ({"foo": 1}, ParameterError, "no hyperparameter foo"),
        ({"model": "none"}, WindlassError, "has no model 'none'"),
        ({"C": object()}, ParameterError, "plain numbers"),
        ({"seed": -1}, ParameterError, "Seed -1"),
        ({"data": "rows.csv"}, ParameterError, "There is no .*rows.csv"),
    ):
        with pytest.raises(kind, match=message):
            windlass.train(IRIS, progress=False, **arguments)
    with pytest.raises(ProjectError, match=r"No project\.py"):
        windlass.train(tmp_path, progress=False)
    with pytest.raises(ParameterError, match="A int cannot be trained"):
        windlass.train(5, progress=False)  # type: ignore[arg-type]  # wrong on purpose
    exiting = tmp_path / "exiting"
    exiting.mkdir()
    (exiting / "project.py").write_text("raise SystemExit(3)")
    with pytest.raises(ProjectError, match="SystemExit"):
        windlass.train(exiting, progress=False)


def test_an_interrupt_cancels_the_job(tmp_path: Path) -> None:
    project = tmp_path / "unruly"
    project.mkdir()
    (project / "project.py").write_text((UNRULY / "project.py").read_text())

    interrupted: list[str] = []

    def interrupt(_: float, message: str) -> None:
        if message.startswith("Fitting") and not interrupted:
            interrupted.append(message)
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        windlass.train(project, deed="wait", progress=interrupt, track=False)
    with open_registry(settings_near(project)) as registry:
        (job,) = JobQueue(registry.database).list("unruly")
    assert job.state is JobState.CANCELLED


class Double(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A step that no converter knows, so that the bundle is native."""

    def fit(self, rows: Any, labels: Any = None) -> "Double":
        return self

    def transform(self, rows: Any) -> Any:
        return rows * 2


class Point(windlass.Row):
    """A number."""

    x: float = windlass.column("A number", ge=0, le=1)


class Tree(windlass.Candidate, name="tree"):
    """A tree behind a step of the notebook's own."""

    depth: int = 2

    def build(self, seed: int) -> Any:
        return make_pipeline(
            Double(), DecisionTreeClassifier(max_depth=self.depth, random_state=seed)
        )


def points() -> dict[str, list[Any]]:
    return {
        "x": [i / 200 for i in range(200)],
        "side": [["low", "high"][i > 100] for i in range(200)],
    }


def test_a_project_object_trains_in_this_process(home: Path) -> None:
    thread: list[int] = []

    def data() -> dict[str, list[Any]]:
        thread.append(threading.get_ident())  # as a connection of SQLite would ask for
        return points()

    project = windlass.Project(
        name="points",
        row=Point,
        target=windlass.Classes("side", ["low", "high"]),
        data=data,
        candidates=[Tree],
        gates=[windlass.Gate("accuracy", at_least=0.9)],
    )
    version = windlass.train(project, depth=3, progress=False)
    assert (version.name, version.stage, version.job_id) == ("v1", "candidate", None)
    assert thread == [threading.get_ident()]
    assert version.params["depth"] == 3
    assert not list(home.glob(".training-*"))
    version.approve("good")
    assert windlass.load("points").predict({"x": 0.9}) == "high"
    with pytest.raises(ParameterError):
        windlass.train(project, width=3, progress=False)


NOTEBOOK = """
import sys
sys.modules["__main__"].__dict__.pop("__file__", None)
import windlass
from typing import Any
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

class Double(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None): return self
    def transform(self, rows): return rows * 2

class Point(windlass.Row):
    x: float = windlass.column("A number", ge=0, le=1)

class Tree(windlass.Candidate, name="tree"):
    def build(self, seed: int) -> Any:
        return make_pipeline(Double(), DecisionTreeClassifier(max_depth=2, random_state=seed))

def points():
    return {"x": [i / 200 for i in range(200)], "side": [["low", "high"][i > 100] for i in range(200)]}

project = windlass.Project(name="cells", row=Point, target=windlass.Classes("side", ["low", "high"]),
                           data=points, candidates=[Tree])
version = windlass.train(project, progress=False, track=False)
version.approve("good")
print(version.engine["name"])
"""


def test_a_model_with_classes_of_a_notebook_loads_in_another_process(home: Path) -> None:
    assert run_python(NOTEBOOK).strip() == "native"
    assert windlass.load("cells").predict([{"x": 0.9}, {"x": 0.1}]) == ["high", "low"]
    assert "cells" not in json.dumps([str(path) for path in Path.cwd().iterdir()])


def test_a_failing_training_gives_the_reason(tmp_path: Path) -> None:
    fault = "raise ValueError('no rows today')\n    "
    text = (IRIS / "project.py").read_text().replace("iris = load_iris", f"{fault}iris = load_iris")
    (tmp_path / "project.py").write_text(text)
    with pytest.raises(JobError, match="no rows today"):
        windlass.train(tmp_path, progress=False, track=False)
