"""A job: long work that was asked for, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
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
        """Whether nothing will change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job as the desk holds it. Times are seconds since 1970; `progress` is 0..1.

    `error` is the reason, readable, of a failed one; `result` what a succeeded one made; `worker` who
    carries it out, or alone may; `cancelling` whether its worker was asked to give it up.
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


Json = dict[str, Any]

# folders and addresses are this machine's own affair
_MADE = (
    "version", "stage", "digest", "params", "metrics", "gates", "engine", "data_digest", "warnings",
)  # fmt: skip
_ASKED = "model", "hyperparameters", "seed", "test_size", "snapshot"


def job_view(job: Job) -> Json:
    """A job and how far it has come."""
    return {
        "job_id": job.id,
        "project": job.project,
        "kind": job.kind,
        "state": job.state.value,
        "cancelling": job.cancelling,
        "progress": job.progress,
        "message": job.message,
        "error": job.error,
        "result": None if job.result is None else _some(job.result, _MADE),
        "request": _some(job.request, _ASKED),
        "asked_by": job.asked_by,
        "worker": job.worker,
        "attempts": job.attempts,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _some(facts: Json, names: Sequence[str]) -> Json:
    return {name: facts[name] for name in names if name in facts}
