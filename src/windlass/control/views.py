"""Jobs as the API shows them. Times are seconds since 1970."""

from collections.abc import Sequence
from typing import Any

from windlass.jobs.job import Job

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
