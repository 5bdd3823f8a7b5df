"""The steps of a training job, one at a time, with the real registry, queue and project process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.job_workers import Bench, UnrulyProject, begin_next

from windlass.errors import StorageError
from windlass.jobs.job import Job
from windlass.registry.version import Stage, Version
from windlass.workflows.execution.context import (
    JobCancelled,
    JobContext,
    JobOwnershipLost,
    JobTimings,
    StepResult,
    WorkerStopped,
    find_project_folder,
)
from windlass.workflows.execution.runner import run_job


@pytest.fixture
def project(bench: Bench) -> UnrulyProject:
    return bench.project()


def claimed(bench: Bench, context: JobContext, project: UnrulyProject, deed: str = "fit") -> Job:
    bench.submit(project, deed)
    job = begin_next(bench.queue, context.worker)
    assert job is not None
    return job


def each(name: str, step: Callable[[], StepResult]) -> StepResult:
    """Checkpoints that forget: every step is done whenever it is asked for."""
    return step()


def test_a_job_done_again_leads_to_the_same_version(
    bench: Bench, context: JobContext, project: UnrulyProject
) -> None:
    job = claimed(bench, context, project)
    first = run_job(context, job, each)
    project.forget()
    again = run_job(context, job, each)
    assert not project.has_begun(), "it is not trained again"
    assert (first["version"], first["digest"]) == (again["version"], again["digest"])
    assert len(bench.versions(project)) == 1


def test_a_version_that_was_not_settled_is(
    bench: Bench, context: JobContext, project: UnrulyProject
) -> None:
    job = claimed(bench, context, project)

    def dies(name: str, step: Callable[[], StepResult]) -> StepResult:
        if name == "settle":
            raise WorkerStopped
        return step()

    with pytest.raises(WorkerStopped):
        run_job(context, job, dies)
    assert bench.versions(project)[0].stage is Stage.CANDIDATE
    assert run_job(context, job, each)["stage"] == "production"


def test_a_finished_training_waits_for_the_store(
    bench: Bench, context: JobContext, project: UnrulyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(context, timings=JobTimings(retry=0.01))
    job, tries = claimed(bench, context, project), 3
    register = bench.registry.register

    def flaky(folder: Path, *, trained_by: str, job_id: str | None = None) -> Version:
        nonlocal tries
        tries -= 1
        if tries:
            raise StorageError("The store is away.")
        return register(folder, trained_by=trained_by, job_id=job_id)

    monkeypatch.setattr(bench.registry, "register", flaky)
    assert run_job(context, job, each)["version"] == "v1"
    assert tries == 0


def test_a_store_that_stays_away_fails_the_job(
    bench: Bench, context: JobContext, project: UnrulyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(context, timings=JobTimings(retry=0.01, timeout=0.05))

    def away(*_: object, **__: object) -> Version:
        raise StorageError("The store is away.")

    monkeypatch.setattr(bench.registry, "register", away)
    job = claimed(bench, context, project)
    assert run_job(context, job, each) == {"error": "The store is away."}


def test_a_job_of_another_worker_is_left_alone(
    bench: Bench, context: JobContext, project: UnrulyProject
) -> None:
    job = claimed(bench, context, project, "wait")
    bench.queue.release(job.id, context.worker)
    with pytest.raises(JobOwnershipLost):
        run_job(context, job, each)
    assert bench.registry.declarations() == []


@pytest.mark.parametrize(
    ("flag", "raised"), [("stopping", WorkerStopped), ("cancelling", JobCancelled)]
)
def test_a_stop_or_a_cancel_during_a_training_is_obeyed(
    bench: Bench,
    context: JobContext,
    project: UnrulyProject,
    flag: str,
    raised: type[BaseException],
) -> None:
    job = claimed(bench, context, project, "wait")
    getattr(context, flag).set()
    with pytest.raises(raised):
        run_job(context, job, each)
    assert bench.leftovers() == []


def test_a_missing_folder_is_reported(
    bench: Bench, context: JobContext, project: UnrulyProject
) -> None:
    job = claimed(bench, context, project)
    (project.folder / "project.py").unlink()
    assert "is not on this machine." in run_job(context, job, each)["error"]


def test_an_unexpected_error_is_reported_as_a_fault_of_windlass(
    bench: Bench, context: JobContext, project: UnrulyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Version:
        raise RuntimeError("a slip")

    monkeypatch.setattr(bench.registry, "register", broken)
    error = run_job(context, claimed(bench, context, project), each)["error"]
    assert error.startswith("Unexpected RuntimeError: a slip")
    assert error.endswith("This is a fault of Windlass; please report it.")


def test_the_folder_of_a_project_is_looked_up_by_job_argument_and_registry(
    bench: Bench, project: UnrulyProject
) -> None:
    other = bench.project("other")
    named = {"unruly": other.folder}
    job = bench.submit(project)
    nowhere = bench.submit(project, folder=str(bench.folder / "gone"))
    unnamed = bench.submit(project, folder=None)
    registry = bench.registry
    assert find_project_folder(job, named, registry) == project.folder
    assert find_project_folder(nowhere, named, registry) == other.folder
    assert find_project_folder(nowhere, {}, registry) is None
    assert find_project_folder(unnamed, named, registry) == other.folder
    assert find_project_folder(unnamed, {}, registry) is None, "nobody has declared it"
