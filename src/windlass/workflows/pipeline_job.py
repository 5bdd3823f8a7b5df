"""Pipeline job: builds features from raw events, loads them into the online store, trains a version on them.

Each step may run again after a crash: what it has already produced is found and used.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from windlass.core.feature_view import ViewRecord
from windlass.core.progress import ProgressCallback
from windlass.jobs.job import Job
from windlass.workflows.execution.context import (
    Checkpoint,
    JobContext,
    ProgressRange,
    StepResult,
    finished_task,
    retry_while_unavailable,
    save_progress,
    stop_if_requested,
)
from windlass.workflows.execution.project_process import BuildTask
from windlass.workflows.features import materialise_features, snapshot_summary
from windlass.workflows.train_job import run_training

if TYPE_CHECKING:
    from windlass.features.offline.store import OfflineStore


@dataclass(frozen=True)
class PipelineStep:
    """A step as it is displayed: its name, and the part of the progress that it covers."""

    name: str
    progress_range: ProgressRange


BUILD_STEP = PipelineStep("quality and features", ProgressRange(0.0, 0.45))
MATERIALISE_STEP = PipelineStep("online store", ProgressRange(0.45, 0.55))
TRAIN_STEP = PipelineStep("training and gates", ProgressRange(0.55, 1.0))
STEPS = (BUILD_STEP, MATERIALISE_STEP, TRAIN_STEP)


def run_pipeline(context: JobContext, job: Job, checkpoint: Checkpoint) -> StepResult:
    """Runs a pipeline job; returns the result of a training plus `features`, or `{"error": reason}`.

    The request is that of a training, and `build`: the `file` and the options of a feature build. A project
    without a feature view is only trained. Raises JobCancelled, WorkerStopped or JobOwnershipLost where this process
    must not continue.
    """
    resumed = True  # whether an earlier attempt ran the first step

    def look() -> StepResult:
        nonlocal resumed
        resumed = False
        return _newest_snapshot(context, job)

    start = checkpoint("look at the store", look)
    if "error" in start:
        return start
    snapshot_before = start["snapshot"] if resumed else None
    features = checkpoint("build features", lambda: _build(context, job, snapshot_before))
    if "error" in features:
        return features
    training = replace(context, progress_range=TRAIN_STEP.progress_range)
    if not features:
        return run_training(training, job, checkpoint)
    materialised = checkpoint("materialise", lambda: _materialise(context, job, features))
    if "error" in materialised:
        return materialised
    request = job.request | {"snapshot": features["snapshot"]}
    trained = run_training(training, replace(job, request=request), checkpoint)
    return trained if "error" in trained else trained | {"features": features | materialised}


def _newest_snapshot(context: JobContext, job: Job) -> StepResult:
    """Returns the number of the newest snapshot, 0 for none: a resumed job sees by it what was built."""
    newest = _offline_store(context, job).current()
    return {"snapshot": 0 if newest is None else newest.number}


def _build(context: JobContext, job: Job, snapshot_before: int | None) -> StepResult:
    """Builds features in a project process; returns a summary of the snapshot, {} for a project without a view.

    `snapshot_before` is the newest snapshot before an earlier attempt: a newer one was built by that attempt.
    """
    newest = _offline_store(context, job).current()
    if snapshot_before is not None and newest is not None and newest.number > snapshot_before:
        return snapshot_summary(newest)
    process = context.project_process(job)
    declaration = process.read_spec()
    retry_while_unavailable(context, lambda: context.registry.declare(declaration))
    if declaration.view is None:
        context.prestarted = process
        return {}
    task = BuildTask(
        project=job.project,
        build=job.request["build"],
        staging=str(context.staging / job.id),
        home=str(context.settings.home),
    )
    building = replace(context, progress_range=BUILD_STEP.progress_range)
    with finished_task(building, job, process, task, ProgressRange()) as process:
        return process.result or {"error": process.error}


def _materialise(context: JobContext, job: Job, features: StepResult) -> StepResult:
    context = replace(context, progress_range=MATERIALISE_STEP.progress_range)
    progress, view = _reporting_progress(context, job), _feature_view(context, job)
    number = features["snapshot"]
    _, done = materialise_features(context.settings, view, job.project, number, progress)
    return {"materialised": done.written}


def _offline_store(context: JobContext, job: Job) -> "OfflineStore":
    from windlass.features.offline.store import OfflineStore

    return OfflineStore.from_settings(context.settings, job.project)


def _feature_view(context: JobContext, job: Job) -> ViewRecord:
    declaration = retry_while_unavailable(
        context, lambda: context.registry.declaration(job.project)
    )
    assert declaration.view is not None
    return declaration.view


def _reporting_progress(context: JobContext, job: Job) -> ProgressCallback:
    """Returns a progress callback that also stores progress at times and raises where the job must stop."""
    saved_at = time.monotonic()

    def progress(share: float, message: str) -> None:
        nonlocal saved_at
        context.report_progress(share, message)
        if time.monotonic() - saved_at >= context.timings.report:
            saved_at = time.monotonic()
            stop_if_requested(context, job)
            save_progress(context, job, share, message)

    return progress
