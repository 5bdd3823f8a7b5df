"""The training job, step by step: train in a process of its own and register, then settle by the project's policy.

Each step may be done again after a crash and leads to the same version: the registry knows the job.
"""

import shutil
from contextlib import ExitStack
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
    follow,
    guarded,
    patiently,
)
from windlass.workflows.execution.project_process import ProjectProcess, TrainTask

_TRAINED = 0.95  # of the way, once the process has done its part


def training(hands: JobContext, job: Job, checkpoint: Checkpoint) -> StepResult:
    """Carry out a training job: `{"version": "v2", …}`, or `{"error": reason}` where it cannot be done.

    Raises Cancelled, Stopped or Lost where the work is not to go on here.
    """
    done = checkpoint("train and register", lambda: guarded(lambda: _train(hands, job)))
    if "error" in done:
        return done
    return checkpoint("settle", lambda: guarded(lambda: _settle(hands, job, done)))


def _train(hands: JobContext, job: Job) -> StepResult:
    known = _registered(hands.registry, job)
    if known is not None:  # the worker died between registering and noting it
        return {"version": known.name}
    trainer = hands.trainer(job)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, hands.staging, ignore_errors=True)
        stack.enter_context(trainer)
        task = TrainTask(
            project=job.project,
            request=job.request,
            artifacts=str(hands.staging / job.id / "bundle"),
            home=str(hands.settings.home),
            tracking_uri=hands.settings.tracking_uri,
        )
        follow(hands, job, trainer, task, ProgressRange(0, _TRAINED))
        if trainer.error is not None:
            return {"error": trainer.error}
        hands.tell(_TRAINED, "Registering the version")
        version = patiently(hands, lambda: _register(hands, job, trainer, Path(task.artifacts)))
        return {"version": version.name, **(trainer.result or {})}


def _registered(registry: Registry, job: Job) -> Version | None:
    try:
        versions = registry.versions(job.project)
    except UnknownError:
        return None
    return next((version for version in versions if version.job_id == job.id), None)


def _register(hands: JobContext, job: Job, trainer: ProjectProcess, bundle: Path) -> Version:
    share = hands.way.at(_TRAINED)
    hands.desk.report(job.id, hands.worker, share, "Registering the version")  # LostError
    if trainer.declaration is not None:
        hands.registry.declare(trainer.declaration)
    return hands.registry.register(bundle, trained_by=job.asked_by, job_id=job.id)


def _settle(hands: JobContext, job: Job, done: StepResult) -> StepResult:
    registry = hands.registry

    def apply_policy() -> Version:
        return registry.apply_policy(registry.version(job.project, done["version"]))

    version = patiently(hands, apply_policy)
    hands.tell(1.0, "Done")
    return done | {
        "stage": version.stage.value,
        "metrics": version.facts.get("metrics", {}),
        "gates": [asdict(gate) for gate in version.gates],
        "digest": version.digest,
        "params": version.facts.get("params", {}),
        "engine": version.facts.get("engine", {}),
        "data_digest": version.facts.get("data_digest"),
    }
