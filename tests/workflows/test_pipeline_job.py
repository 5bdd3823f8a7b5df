"""The steps of the pipeline, one at a time, with the real stores, registry, job queue and processes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.job_workers import Bench, begin_next
from tests.support.lending_project import LendingProject

from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.features.offline.store import OfflineStore
from windlass.features.online.store import online_store
from windlass.jobs.job import Job
from windlass.jobs.queue import JobRequest
from windlass.registry.version import Stage
from windlass.workflows.execution.context import (
    JobCancelled,
    JobContext,
    ProgressRange,
    StepResult,
    WorkerStopped,
)
from windlass.workflows.execution.runner import run_job
from windlass.workflows.pipeline_job import BUILD_STEP, MATERIALISE_STEP, STEPS


def claimed(bench: Bench, context: JobContext, lending: LendingProject, **build: Any) -> Job:
    """A pipeline job that runs in the name of the context's worker."""
    request = {"folder": str(lending.folder), "track": False, "build": build}
    bench.queue.submit(JobRequest("lending", "pipeline", request, "ada"))
    job = begin_next(bench.queue, context.worker)
    assert job is not None
    return job


class StoredSteps:
    """Checkpoints that remember, as JSON, and die before the step named or, with `after`, once it is done."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self.dies_before = self.dies_after = ""

    def __call__(self, name: str, step: Callable[[], StepResult]) -> StepResult:
        if name == self.dies_before:
            raise WorkerStopped
        if name not in self.results:
            result = json.dumps(step())
            if name == self.dies_after:
                raise WorkerStopped  # done, and not noted
            self.results[name] = result
        stored: StepResult = json.loads(self.results[name])
        return stored


def test_raw_events_become_a_candidate_that_waits(
    bench: Bench, context: JobContext, lending: LendingProject
) -> None:
    reported: list[tuple[float, str]] = []
    context.progress = lambda share, message: reported.append((share, message))
    job = claimed(bench, context, lending)
    result = run_job(context, job, StoredSteps())
    assert "error" not in result, result
    assert (result["version"], result["stage"]) == ("v1", "candidate")
    (version,) = bench.registry.versions("lending")
    assert (version.stage, version.trained_by) == (Stage.CANDIDATE, "ada")
    features = result["features"]
    assert version.facts["params"]["snapshot"] == features["snapshot"] == 1
    assert features["materialised"] == features["entities"] > 50
    assert features["quality"]["quarantined"] == 0
    project, source = load_project(lending.folder)
    record = ProjectSpec.from_project(project, source).view
    assert record is not None
    store = online_store(bench.settings, record, "lending")
    row = store.read(3)
    store.close()
    assert row is not None
    assert row.values["loans_before"] > 0
    assert [share for share, _ in reported] == sorted(share for share, _ in reported)
    assert reported[-1] == (1.0, "Done")
    assert bench.leftovers() == []


def test_a_finished_build_whose_step_was_not_stored_is_used(
    bench: Bench, context: JobContext, lending: LendingProject
) -> None:
    rows = [
        f"{n},{n % 40},2020-01-{1 + n % 28:02},120.5,1980-02-29,{n % 3 // 2}" for n in range(200)
    ]
    job = claimed(bench, context, lending, file=str(lending.raw("loans.csv", *rows)), append=True)
    steps = StoredSteps()
    steps.dies_after = "build features"
    with pytest.raises(WorkerStopped):
        run_job(context, job, steps)
    lending.forget()
    steps.dies_after, steps.dies_before = "", "train and register"
    with pytest.raises(WorkerStopped):
        run_job(context, job, steps)
    assert not lending.has_begun("built"), "the snapshot that was there is not built again"
    store = OfflineStore.from_settings(bench.settings, "lending")
    assert [snapshot.number for snapshot in store.snapshots()] == [1]
    assert json.loads(steps.results["build features"])["events"] == 200
    # a run that begins anew builds again, whatever there is already
    assert "loan: duplicate (200)" in run_job(context, job, StoredSteps())["error"]


def test_a_project_without_generated_data_needs_a_file(
    bench: Bench, context: JobContext, lending: LendingProject
) -> None:
    (lending.folder / "generate.py").unlink()
    job = claimed(bench, context, lending)
    assert "--data FILE" in run_job(context, job, StoredSteps())["error"]


def test_a_project_without_a_view_is_only_trained(bench: Bench, context: JobContext) -> None:
    unruly = bench.project()
    request = {"folder": str(unruly.folder), "track": False, "build": {}}
    bench.queue.submit(JobRequest("unruly", "pipeline", request, "ada"))
    job = begin_next(bench.queue, context.worker)
    assert job is not None
    result = run_job(context, job, StoredSteps())
    assert (result["version"], result["stage"]) == ("v1", "production")
    assert "features" not in result


def test_a_cancel_during_a_build_is_obeyed(
    bench: Bench, context: JobContext, lending: LendingProject
) -> None:
    lending.hold("built")
    job = claimed(bench, context, lending)
    context.cancelling.set()
    with pytest.raises(JobCancelled):
        run_job(context, job, StoredSteps())
    assert bench.leftovers() == []
    assert OfflineStore.from_settings(bench.settings, "lending").snapshots() == []


def test_the_steps_divide_the_whole_progress() -> None:
    ends = [0.0, *(step.progress_range.end for step in STEPS)]
    assert [step.progress_range.begin for step in STEPS] == ends[:-1]
    assert ends[-1] == 1.0
    assert BUILD_STEP.progress_range.at(1.0) == MATERIALISE_STEP.progress_range.at(0.0)
    assert ProgressRange(0.2, 0.6).share(0.4) == pytest.approx(0.5)
    assert (ProgressRange(0.2, 0.6).share(0.1), ProgressRange(0.2, 0.6).share(0.9)) == (0.0, 1.0)
