"""A version: a bundle that the registry knows, in a stage; and the legal moves between stages."""

import re
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from windlass.core.gates import GateResult
from windlass.errors import RegistryError, UnknownError

_NAME = re.compile(r"v([1-9][0-9]{0,8})")


class Stage(Enum):
    """Where a version stands. One production version a project."""

    CANDIDATE = "candidate"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    REJECTED = "rejected"


class Action(Enum):
    """What a decision does to the version that it names."""

    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"


# what each action asks of the stage of the version it names, and the stage it leaves it in
MOVES = {
    Action.APPROVE: (Stage.CANDIDATE, Stage.PRODUCTION),
    Action.REJECT: (Stage.CANDIDATE, Stage.REJECTED),
    Action.ROLLBACK: (Stage.ARCHIVED, Stage.PRODUCTION),
}


@dataclass(frozen=True)
class VersionRef:
    """Where a version stands, and with which bundle: what decisions are held against."""

    project: str
    number: int
    digest: str
    stage: Stage

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"


@dataclass(frozen=True)
class Version(VersionRef):
    """A version as the registry holds it. Times are seconds since 1970.

    `facts` are `params`, `metrics`, `engine`, `data_digest` and `source_digest`; `gates` how each gate went,
    `against` the digest of the production version that they were judged with (None: there was none).
    `pruned_at` is when its bundle was removed; None while it is kept.
    """

    created_at: float
    trained_by: str
    job_id: str | None
    facts: dict[str, Any]
    gates: tuple[GateResult, ...]
    pruned_at: float | None = None
    against: str | None = None

    def json(self) -> dict[str, Any]:
        """All that is known of it, as JSON."""
        return {
            "project": self.project,
            "version": self.name,
            "stage": self.stage.value,
            "digest": self.digest,
            "created_at": self.created_at,
            "trained_by": self.trained_by,
            "job_id": self.job_id,
            "pruned_at": self.pruned_at,
            **self.facts,
            "gates": [asdict(gate) for gate in self.gates],
        }

    def moved(self, action: Action) -> Stage:
        """The stage that an action moves it to. Raises RegistryError for an illegal move."""
        needed, stage = MOVES[action]
        if self.stage is not needed:
            next_step = _NEXT[action][self.stage].format(project=self.project, name=self.name)
            raise RegistryError(
                f"{self.project} {self.name} is {_AS[self.stage]}, and only {_AS[needed]} can be"
                f" {_DONE[action]}. {next_step}"
            )
        return stage

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates because of which not even a person may approve it."""
        return tuple(gate for gate in self.gates if gate.blocks_approval)

    @property
    def open_gates(self) -> tuple[GateResult, ...]:
        """The gates that did not pass, or could not be judged: nothing is automatic then."""
        return tuple(gate for gate in self.gates if not gate.passed)


_AS = {
    Stage.CANDIDATE: "a candidate",
    Stage.PRODUCTION: "in production",
    Stage.ARCHIVED: "an archived version",
    Stage.REJECTED: "rejected",
}
_DONE = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.ROLLBACK: "returned to by a rollback",
}
_FOR_GOOD = "A rejection is for good: train another version."
_NEXT = {  # what to do where an action does not fit a stage
    Action.APPROVE: {
        Stage.PRODUCTION: "There is nothing left to do.",
        Stage.ARCHIVED: 'Return to it: windlass rollback {project} {name} --reason "…"',
        Stage.REJECTED: _FOR_GOOD,
    },
    Action.REJECT: {
        Stage.PRODUCTION: "To have another one there, approve it, or roll back.",
        Stage.ARCHIVED: "It does not come back by itself: there is nothing left to do.",
        Stage.REJECTED: "There is nothing left to do.",
    },
    Action.ROLLBACK: {
        Stage.CANDIDATE: 'Approve it: windlass approve {project} {name} --reason "…"',
        Stage.PRODUCTION: 'For the one before it, name none: windlass rollback {project} --reason "…"',
        Stage.REJECTED: _FOR_GOOD,
    },
}


@dataclass(frozen=True)
class LiveVersion:
    """The production version of a project, since when (seconds since 1970).

    `refused` says why it must not be served: the newest decision is not about this bundle. None: it may be.
    """

    number: int
    digest: str
    since: float
    refused: str | None = None

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"


def number_of(name: str) -> int:
    """3 for `v3`. Raises UnknownError for what is no name of a version."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownError(
            "There is no such version. They are called v1, v2, …: `windlass versions` lists them."
        )
    return int(match[1])
