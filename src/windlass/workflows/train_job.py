"""Training job: train in a project process and register the version, then settle it by the project's policy.

Each step may run again after a crash and leads to the same version, since a version records its job.
"""

from dataclasses import asdict
from pathlib import Path

from windlass.errors import UnknownError
from windlass.jobs.job import Job
from windlass.registry.registry import Registry
from windlass.registry.version import Version
from windlass.workflows.execution.context import (
    Checkpoint,
    JobContext,
    ProgressRange,
    StepResult,
    finished_task,
    retry_while_unavailable,
)
from windlass.workflows.execution.project_process import ProjectProcess, TrainTask

_TRAINED = 0.95  # progress once the process has ended


def run_training(context: JobContext, job: Job, checkpoint: Checkpoint) -> StepResult:
    """Runs a training job; returns `{"version": "v2", …}`, or `{"error": reason}` where it fails.

    Raises JobCancelled, WorkerStopped or JobOwnershipLost where this process must not continue.
    """
    done = checkpoint("train and register", lambda: _train(context, job))
    return done if "error" in done else checkpoint("settle", lambda: _settle(context, job, done))


def _train(context: JobContext, job: Job) -> StepResult:
    registered = _find_version(context.registry, job)
    if registered is not None:  # the worker died before the step's result was stored
        return {"version": registered.name}
    process = context.project_process(job)
    signing_key = context.settings.signing_key
    task = TrainTask(
        project=job.project,
        request=job.request,
        artifacts=str(context.staging / job.id / "bundle"),
        home=str(context.settings.home),
        tracking_uri=context.settings.tracking_uri,
        signing_key=None if signing_key is None else str(signing_key.absolute()),
    )
    with finished_task(context, job, process, task, ProgressRange(0, _TRAINED)) as process:
        if process.error is not None:
            return {"error": process.error}
        context.report_progress(_TRAINED, "Registering the version")
        version = retry_while_unavailable(
            context, lambda: _register(context, job, process, Path(task.artifacts))
        )
        return {"version": version.name, **(process.result or {})}


def _find_version(registry: Registry, job: Job) -> Version | None:
    try:
        versions = registry.versions(job.project)
    except UnknownError:
        return None
    return next((version for version in versions if version.job_id == job.id), None)


def _register(context: JobContext, job: Job, process: ProjectProcess, bundle: Path) -> Version:
    share = context.progress_range.at(_TRAINED)
    context.queue.report(
        job.id, context.worker, share, "Registering the version"
    )  # JobNotOwnedError
    if process.declaration is not None:
        context.registry.declare(process.declaration)
    return context.registry.register(bundle, trained_by=job.asked_by, job_id=job.id)


def _settle(context: JobContext, job: Job, done: StepResult) -> StepResult:
    registry = context.registry

    def apply_policy() -> Version:
        return registry.apply_policy(registry.version(job.project, done["version"]))

    version = retry_while_unavailable(context, apply_policy)
    context.report_progress(1.0, "Done")
    return done | {
        "stage": version.stage.value,
        "metrics": version.facts.get("metrics", {}),
        "findings": version.facts.get("findings", []),
        "gates": [asdict(gate) for gate in version.gates],
        "digest": version.digest,
        "params": version.facts.get("params", {}),
        "engine": version.facts.get("engine", {}),
        "data_digest": version.facts.get("data_digest"),
    }
