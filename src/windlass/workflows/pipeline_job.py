"""The pipeline, step by step: raw events to features, features to the online store, a version trained on them.

Each step may be done again after a crash and leads to the same: what it made already is found and used.
"""

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from windlass.core.feature_view import ViewRecord
from windlass.jobs.job import Job
from windlass.training.plan import ProgressCallback
from windlass.workflows.execution.context import (
    TELL_SECONDS,
    Checkpoint,
    JobContext,
    ProgressRange,
    StepResult,
    follow,
    guarded,
    patiently,
    report,
    stop_if_asked,
)
from windlass.workflows.execution.project_process import BuildTask
from windlass.workflows.features import materialise_features, snapshot_summary
from windlass.workflows.train_job import training

if TYPE_CHECKING:
    from windlass.features.offline.store import OfflineStore


@dataclass(frozen=True)
class Step:
    """A step as people see it: what it is called, and which part of the way it makes."""

    name: str
    way: ProgressRange


BUILD = Step("quality and features", ProgressRange(0.0, 0.45))
MATERIALISE = Step("online store", ProgressRange(0.45, 0.55))
TRAIN = Step("training and gates", ProgressRange(0.55, 1.0))
STEPS = (BUILD, MATERIALISE, TRAIN)


def pipeline(hands: JobContext, job: Job, checkpoint: Checkpoint) -> StepResult:
    """Carry out a pipeline: what a training makes, and `features`; or `{"error": reason}`.

    The request is that of a training, and `build`: the `file`, and further options of a build. A project
    without a feature view is only trained. Raises Cancelled, Stopped or Lost where the work is not to go
    on here.
    """
    goes_on = True

    def look() -> StepResult:
        nonlocal goes_on
        goes_on = False
        return _newest(hands, job)

    begun = checkpoint("look at the store", lambda: guarded(look))
    if "error" in begun:
        return begun
    found = begun["snapshot"] if goes_on else None
    features = checkpoint("build features", lambda: guarded(lambda: _build(hands, job, found)))
    if "error" in features:
        return features
    if not features:
        return training(replace(hands, way=TRAIN.way), job, checkpoint)
    shown = checkpoint("materialise", lambda: guarded(lambda: _materialise(hands, job, features)))
    if "error" in shown:
        return shown
    request = job.request | {"snapshot": features["snapshot"]}
    trained = training(replace(hands, way=TRAIN.way), replace(job, request=request), checkpoint)
    return trained if "error" in trained else trained | {"features": features | shown}


def _newest(hands: JobContext, job: Job) -> StepResult:
    """The number of the newest snapshot, 0 for none: whoever goes on after a crash tells by it what was built."""
    newest = _store(hands, job).current()
    return {"snapshot": 0 if newest is None else newest.number}


def _build(hands: JobContext, job: Job, found: int | None) -> StepResult:
    """Build features in a process of their own; what is in the snapshot, nothing for a project without a view.

    `found` is the newest snapshot before an earlier attempt: a newer one is what that attempt built.
    """
    newest = _store(hands, job).current()
    if found is not None and newest is not None and newest.number > found:
        return snapshot_summary(newest)
    trainer = hands.trainer(job)
    declaration = trainer.declared()
    patiently(hands, lambda: hands.registry.declare(declaration))
    if declaration.view is None:
        hands.ready = trainer
        return {}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, hands.staging, ignore_errors=True)
        stack.enter_context(trainer)
        task = BuildTask(
            project=job.project,
            build=job.request["build"],
            staging=str(hands.staging / job.id),
            home=str(hands.settings.home),
        )
        follow(replace(hands, way=BUILD.way), job, trainer, task, ProgressRange())
        return trainer.result or {"error": trainer.error}


def _materialise(hands: JobContext, job: Job, features: StepResult) -> StepResult:
    progress = _watched(replace(hands, way=MATERIALISE.way), job)
    _, done = materialise_features(
        hands.settings, _view(hands, job), job.project, features["snapshot"], progress
    )
    return {"materialised": done.written}


def _store(hands: JobContext, job: Job) -> "OfflineStore":
    from windlass.features.offline.store import OfflineStore

    return OfflineStore.from_settings(hands.settings, job.project)


def _view(hands: JobContext, job: Job) -> ViewRecord:
    declaration = patiently(hands, lambda: hands.registry.declaration(job.project))
    assert declaration.view is not None
    return declaration.view


def _watched(hands: JobContext, job: Job) -> ProgressCallback:
    """Progress that tells whoever listens and, now and then, the desk, and that ends the work where it is to end."""
    told_at = time.monotonic()

    def progress(share: float, message: str) -> None:
        nonlocal told_at
        hands.tell(share, message)
        if time.monotonic() - told_at >= TELL_SECONDS:
            told_at = time.monotonic()
            stop_if_asked(hands, job)
            report(hands, job, share, message)

    return progress
