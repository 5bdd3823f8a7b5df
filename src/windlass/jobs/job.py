"""The record of a job: what was requested, its state and its progress."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any


class JobState(Enum):
    """queued → running → succeeded, failed or cancelled; queued → cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended and will not change again."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Job:
    """One job as the queue stores it.

    Times are seconds since 1970; `progress` is 0..1.

    `error` is the readable reason of a failed job and `result` the outcome of a succeeded one. `worker` is
    the id of the worker that runs it, or that alone may run it. `cancelling` means that somebody requested
    the end of a running job.
    """

    id: str
    project: str
    kind: str
    request: dict[str, Any]
    asked_by: str
    state: JobState
    created_at: float
    cancelling: bool = False
    progress: float = 0.0
    message: str = ""
    error: str | None = None
    result: dict[str, Any] | None = None
    worker: str | None = None
    attempts: int = 0
    started_at: float | None = None
    finished_at: float | None = None


NO_WORKER = "no worker is running. Start one with `windlass worker`, or serve without --no-worker."


def with_worker_state(job: Job, living: Collection[str]) -> Job:
    """Returns the job; where no living worker has it or can take it, with a message that says so."""
    if job.state is JobState.RUNNING and job.worker not in living:
        after = "another one takes the job over." if living else NO_WORKER
        return replace(job, message=f"Its worker has ended, and {after}")
    if job.state is JobState.QUEUED and not living:
        return replace(job, message=f"Waiting for a worker, but {NO_WORKER}")
    return job


JsonObject = dict[str, Any]

# folders and addresses of this machine are left out
_RESULT_FIELDS = (
    "version", "stage", "digest", "params", "metrics", "gates", "engine", "data_digest", "warnings",
)  # fmt: skip
_REQUEST_FIELDS = "model", "hyperparameters", "seed", "test_size", "snapshot"


def job_view(job: Job) -> JsonObject:
    """Returns the job as clients of the HTTP API see it."""
    return {
        "job_id": job.id,
        "project": job.project,
        "kind": job.kind,
        "state": job.state.value,
        "cancelling": job.cancelling,
        "progress": job.progress,
        "message": job.message,
        "error": job.error,
        "result": None if job.result is None else _select(job.result, _RESULT_FIELDS),
        "request": _select(job.request, _REQUEST_FIELDS),
        "asked_by": job.asked_by,
        "worker": job.worker,
        "attempts": job.attempts,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _select(facts: JsonObject, names: Sequence[str]) -> JsonObject:
    return {name: facts[name] for name in names if name in facts}
