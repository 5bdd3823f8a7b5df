"""The project process on its own, without a queue."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.child_process import ChildProcess, python_command
from tests.support.job_workers import UnrulyProject, is_alive
from tests.support.paths import project_folder
from tests.support.waiting import wait_until

from windlass.core.bundle import Bundle
from windlass.errors import ParameterError, ProjectError
from windlass.workflows.execution.project_process import ProjectProcess, TrainTask, read_declaration

pytestmark = pytest.mark.usefixtures("new_project_processes")


@pytest.fixture
def project(tmp_path: Path) -> UnrulyProject:
    folder = tmp_path / "unruly"
    folder.mkdir()
    source = project_folder("unruly") / "project.py"
    (folder / "project.py").write_text(source.read_text())
    return UnrulyProject(folder)


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def trainer(project: UnrulyProject, printed: list[str]) -> Iterator[ProjectProcess]:
    with ProjectProcess(project.folder, printed.append) as process:
        yield process


def task(tmp_path: Path, project: str = "unruly", **request: Any) -> TrainTask:
    request = {"track": False, **request}
    return TrainTask(project, request, str(tmp_path / "bundle"), str(tmp_path / "home"))


def ended(trainer: ProjectProcess) -> str | None:
    wait_until(lambda: trainer.wait(1), "an end")
    return trainer.error


def test_it_declares_checks_and_trains(
    trainer: ProjectProcess, printed: list[str], tmp_path: Path
) -> None:
    declaration = trainer.read_spec()
    assert (declaration.name, [model.name for model in declaration.models]) == (
        "unruly",
        ["model"],
    )
    trainer.check_request({"hyperparameters": {"C": 2}})
    trainer.check_request({})
    reported: list[tuple[float, str]] = []
    request = task(tmp_path, hyperparameters={"deed": "print", "C": 3.0}, seed=5, test_size=0.5)
    trainer.start(request, lambda share, message: reported.append((share, message)))
    assert ended(trainer) is None
    assert trainer.result == {"warnings": [], "tracked": None, "untracked": None}
    params = Bundle.open(tmp_path / "bundle").json("params.json")
    assert (params["C"], params["seed"], params["test_size"]) == (3.0, 5, 0.5)
    assert [share for share, _ in reported] == sorted(share for share, _ in reported)
    assert reported[-1][0] == 1
    wait_until(lambda: printed == ["{not json", "hello from the fit"], "what was printed")


def test_it_refuses_what_cannot_be_trained(trainer: ProjectProcess) -> None:
    with pytest.raises(ParameterError, match="has no hyperparameter depth"):
        trainer.check_request({"hyperparameters": {"depth": 3}})


def test_it_refuses_another_project(trainer: ProjectProcess, tmp_path: Path) -> None:
    trainer.start(task(tmp_path, "iris"))
    assert "declares project 'unruly', and the job is for 'iris'" in (ended(trainer) or "")


def test_a_project_that_cannot_be_read_is_reported(
    project: UnrulyProject, printed: list[str]
) -> None:
    (project.folder / "project.py").write_text("1 / 0")
    with pytest.raises(ProjectError, match=r"ZeroDivisionError.*project\.py, line 1"):
        read_declaration(project.folder, printed.append)
    (project.folder / "project.py").write_text("import os; print('first'); os._exit(4)")
    with pytest.raises(ProjectError, match="ended with code 4"):
        read_declaration(project.folder, printed.append)


def test_a_process_that_ends_by_itself_says_how(trainer: ProjectProcess, tmp_path: Path) -> None:
    trainer.start(task(tmp_path, hyperparameters={"deed": "leave"}))
    error = ended(trainer) or ""
    assert "ended with code 3" in error
    assert error.endswith("Last line of its output: last words")


def test_what_is_written_where_results_go_is_only_passed_on(
    trainer: ProjectProcess, tmp_path: Path
) -> None:
    trainer.start(task(tmp_path, hyperparameters={"deed": "scribble"}))
    assert ended(trainer) is None
    assert trainer.result is not None


def test_closing_ends_what_runs(
    trainer: ProjectProcess, project: UnrulyProject, tmp_path: Path
) -> None:
    trainer.start(task(tmp_path, hyperparameters={"deed": "wait"}))
    assert project.trainer() == trainer.pid
    assert not trainer.wait(0)
    trainer.close()
    assert not is_alive(trainer.pid)
    trainer.close()


_PARENT = """
import sys, time
from pathlib import Path
from windlass.workflows.execution.project_process import ProjectProcess, TrainTask
trainer = ProjectProcess(Path(sys.argv[1]), print)
trainer.start(TrainTask("unruly", {"track": False, "hyperparameters": {"deed": "wait"}}, sys.argv[2], sys.argv[2]))
print(trainer.pid, flush=True)
time.sleep(600)
"""


def test_it_dies_with_its_parent(project: UnrulyProject, tmp_path: Path) -> None:
    with ChildProcess(python_command(_PARENT, project.folder, tmp_path / "bundle")) as parent:
        assert project.trainer() > 0
        parent.kill()
    wait_until(lambda: not is_alive(project.trainer()), "the end of a process without a parent")
