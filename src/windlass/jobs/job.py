"""A job: long work that was asked for, and how far it has come."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class State(Enum):
    """queued → running → succeeded, failed or cancelled; queued → cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.QUEUED, State.RUNNING)


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
    state: State
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
