"""Copies of real projects, each in a folder of its own, so that a test may change them; a queue over SQLite."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.job_workers import Bench, sqlite_bench
from tests.support.lending_project import lending
from tests.support.paths import project_folder
from tests.support.registry_home import registry_home

from windlass.core.progress import ProgressCallback, ignore_progress
from windlass.core.project_loader import load_project
from windlass.jobs.workers import WorkerTable
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.execution.context import JobContext, find_project_folder
from windlass.workflows.train import TrainingResult, train

__all__ = ["lending", "registry_home", "sqlite_bench"]  # fixtures


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with a copy of a project's `project.py`."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in project_folder(name).glob("*.py"):
            shutil.copy(file, folder)
        return folder

    return make


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., TrainingResult]:
    """Train a project's folder into its `artifacts`, without tracking."""

    def run(
        folder: Path,
        *,
        progress: ProgressCallback = ignore_progress,
        artifacts: Path | None = None,
        **request: object,
    ) -> TrainingResult:
        project, source = load_project(folder)
        wanted = TrainingRequest(
            artifacts=artifacts or folder / "artifacts",
            track=False,
            **request,  # type: ignore[arg-type]  # the test names fields of TrainingRequest
        )
        return train(project, source, wanted, Settings(home=tmp_path / "home"), progress)

    return run


@pytest.fixture
def context(bench: Bench) -> Iterator[JobContext]:
    """The context of a worker of this process."""
    job_context = JobContext(
        registry=bench.registry,
        queue=bench.queue,
        settings=bench.settings,
        worker=WorkerTable(bench.registry.database).register(),
        folder=lambda job: find_project_folder(job, {}, bench.registry),
        output=lambda line: None,
    )
    yield job_context
    if job_context.prestarted is not None:
        job_context.prestarted.close()
