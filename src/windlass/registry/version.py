"""A registered version of a model, its stage, and the legal transitions between stages."""

import re
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from windlass.core.gates import GateResult
from windlass.errors import RegistryError, UnknownError

_NAME = re.compile(r"v([1-9][0-9]{0,8})")


class Stage(Enum):
    """Stage of a version; a project has at most one production version."""

    CANDIDATE = "candidate"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    REJECTED = "rejected"


class Action(Enum):
    """Action of a decision on the version that it names."""

    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"


# for each action: the stage that the version must be in, and the stage it moves to
TRANSITIONS = {
    Action.APPROVE: (Stage.CANDIDATE, Stage.PRODUCTION),
    Action.REJECT: (Stage.CANDIDATE, Stage.REJECTED),
    Action.ROLLBACK: (Stage.ARCHIVED, Stage.PRODUCTION),
}


@dataclass(frozen=True)
class VersionRef:
    """Number, stage and bundle digest of a version: what decisions are verified against."""

    project: str
    number: int
    digest: str
    stage: Stage

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"

    @property
    def stage_phrase(self) -> str:
        """The stage as the end of a sentence: `a candidate`, `in production`."""
        return _STAGE_PHRASES[self.stage]


@dataclass(frozen=True)
class Version(VersionRef):
    """Registered version of a model.

    Times are seconds since 1970.
    `facts` holds `params`, `metrics`, `findings`, `engine`, `data_digest` and `source_digest`. `gates` are results,
    `baseline_digest` is the digest of the production version that they were evaluated against (None: there
    was none). `pruned_at` is when its bundle was removed; None while it is kept.
    """

    created_at: float
    trained_by: str
    job_id: str | None
    facts: dict[str, Any]
    gates: tuple[GateResult, ...]
    pruned_at: float | None = None
    baseline_digest: str | None = None

    def json(self) -> dict[str, Any]:
        """Returns all fields as JSON values."""
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

    def stage_after(self, action: Action) -> Stage:
        """Returns the stage after an action. Raises RegistryError for an illegal transition."""
        needed, stage = TRANSITIONS[action]
        if self.stage is not needed:
            next_step = _NEXT_STEPS[action][self.stage].format(project=self.project, name=self.name)
            raise RegistryError(
                f"{self.project} {self.name} is {self.stage_phrase}, and only {_STAGE_PHRASES[needed]} can be"
                f" {_ACTION_PHRASES[action]}. {next_step}"
            )
        return stage

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of its gates as text, in the order of the project."""
        return tuple(gate.rule for gate in self.gates)

    @property
    def failed_gates(self) -> tuple[GateResult, ...]:
        """The gates that keep even a person from approving it."""
        return tuple(gate for gate in self.gates if gate.blocks_approval)

    @property
    def unpassed_gates(self) -> tuple[GateResult, ...]:
        """The gates that did not pass or are undecided: they keep a policy from approving it."""
        return tuple(gate for gate in self.gates if not gate.passed)

    @property
    def warning(self) -> str | None:
        """What speaks against predicting with it: its stage, and gates that did not pass; None in production."""
        if self.stage is Stage.PRODUCTION:
            return None
        gates = ", ".join(gate.rule for gate in self.unpassed_gates)
        failed = f", and did not pass {gates}" if gates else ""
        return f"{self.project} {self.name} is {self.stage_phrase}{failed}."


_STAGE_PHRASES = {
    Stage.CANDIDATE: "a candidate",
    Stage.PRODUCTION: "in production",
    Stage.ARCHIVED: "an archived version",
    Stage.REJECTED: "rejected",
}
_ACTION_PHRASES = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.ROLLBACK: "returned to by a rollback",
}
_REJECTED_STEP = "A rejection is for good: train another version."
_NEXT_STEPS = {  # what to do where an action does not fit a stage
    Action.APPROVE: {
        Stage.PRODUCTION: "There is nothing left to do.",
        Stage.ARCHIVED: 'Return to it: windlass rollback {project} {name} --reason "…"',
        Stage.REJECTED: _REJECTED_STEP,
    },
    Action.REJECT: {
        Stage.PRODUCTION: "To have another one there, approve it, or roll back.",
        Stage.ARCHIVED: "It does not come back by itself: there is nothing left to do.",
        Stage.REJECTED: "There is nothing left to do.",
    },
    Action.ROLLBACK: {
        Stage.CANDIDATE: 'Approve it: windlass approve {project} {name} --reason "…"',
        Stage.PRODUCTION: 'For the one before it, name none: windlass rollback {project} --reason "…"',
        Stage.REJECTED: _REJECTED_STEP,
    },
}


@dataclass(frozen=True)
class LiveVersion:
    """Production version of a project, and since when (seconds since 1970).

    `refusal_reason` is why it must not be served: the newest decision is not about this bundle. None: it may.
    """

    number: int
    digest: str
    since: float
    refusal_reason: str | None = None

    @property
    def name(self) -> str:
        """`v3`."""
        return f"v{self.number}"


def parse_version_number(name: str) -> int:
    """Returns 3 for `v3`. Raises UnknownError for text that is not the name of a version."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownError(
            "There is no such version. They are called v1, v2, …: `windlass versions` lists them."
        )
    return int(match[1])
