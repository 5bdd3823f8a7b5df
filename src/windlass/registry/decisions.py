"""Decisions about versions, as a hash chain: each holds the bundle's digest and the hash of the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from windlass.core.hashing import canonical_json, sha256
from windlass.errors import RegistryError, counted
from windlass.registry.version import TRANSITIONS, Action, Stage, VersionRef

GENESIS_HASH = "0" * 64  # `previous` of a project's first decision
_MAX_ACTOR_LENGTH = 200
_MAX_REASON_LENGTH = 4000


@dataclass(frozen=True)
class Decision:
    """Entry of a project's decision chain. `hash` is the SHA-256 of its other fields as canonical JSON."""

    project: str
    sequence: int
    action: Action
    number: int
    digest: str
    actor: str
    reason: str
    decided_at: float
    previous: str
    hash: str

    @property
    def version(self) -> str:
        """`v3`."""
        return f"v{self.number}"

    def json(self) -> dict[str, Any]:
        """Returns all fields as JSON values."""
        return {
            "project": self.project,
            "sequence": self.sequence,
            "action": self.action.value,
            "version": self.version,
            "digest": self.digest,
            "actor": self.actor,
            "reason": self.reason,
            "decided_at": self.decided_at,
            "previous": self.previous,
            "hash": self.hash,
        }

    def with_hash(self) -> "Decision":
        """Returns the decision with its hash computed."""
        return replace(self, hash=self._hash())

    @property
    def is_intact(self) -> bool:
        """Whether its fields still have its hash."""
        return self.hash == self._hash()

    def _hash(self) -> str:
        content = {**vars(self), "action": self.action.value}
        del content["hash"]
        return sha256(canonical_json(content))


@dataclass(frozen=True)
class DecisionReason:
    """Actor and reason of a decision. Raises RegistryError where one is missing, or no database can store it."""

    actor: str
    text: str

    def __post_init__(self) -> None:
        if not self.actor.strip() or not self.actor.isprintable():
            raise RegistryError(
                f"A decision needs the name of who makes it, in plain characters, not {self.actor!r}."
            )
        if not self.text.strip():
            raise RegistryError("A decision needs a reason, for those who read it later. Say why.")
        if any(not (c.isprintable() or c in "\n\t") for c in self.text):
            raise RegistryError("The reason holds control characters. Write it in plain text.")
        for field, text, limit in (
            ("name of who decides", self.actor, _MAX_ACTOR_LENGTH),
            ("reason", self.text, _MAX_REASON_LENGTH),
        ):
            if len(text) > limit:
                raise RegistryError(
                    f"The {field} has {counted(len(text), 'character')}. Use {limit} at most."
                )


def production_history(decisions: Sequence[Decision]) -> list[int]:
    """Returns the numbers of the versions that were put in production, in order; one may occur twice."""
    return [d.number for d in decisions if d.action is not Action.REJECT]


def find_faults(versions: Sequence[VersionRef], decisions: Sequence[Decision]) -> list[str]:
    """Verifies a project's chain of decisions, its versions' stages against it, and their numbers.

    Returns a line for each fault.
    """
    by_number = {version.number: version for version in versions}
    faults = _find_missing_versions(versions) + find_chain_faults(decisions)
    stages: dict[int, Stage] = {}
    production: int | None = None
    for decision in decisions:
        where = f"{decision.project}, decision {decision.sequence}"
        version = by_number.get(decision.number)
        if version is None:
            faults.append(f"{where} is about {decision.version}, which does not exist.")
            continue
        if version.digest != decision.digest:
            faults.append(
                f"{where} is about another bundle ({decision.digest[:12]}) than {decision.version} is now"
                f" ({version.digest[:12]})."
            )
        needed, stage = TRANSITIONS[decision.action]
        was = stages.get(decision.number, Stage.CANDIDATE)
        if was is not needed:
            faults.append(
                f"{where} takes a version that is {needed.value}, but {decision.version} was {was.value} then."
            )
        if stage is Stage.PRODUCTION:
            if production is not None and production != decision.number:
                stages[production] = Stage.ARCHIVED
            production = decision.number
        stages[decision.number] = stage
    for version in versions:
        stage = stages.get(version.number, Stage.CANDIDATE)
        if version.stage is not stage:
            faults.append(
                f"{version.project} {version.name} is {version.stage.value}, but by the decisions it is"
                f" {stage.value}: one was removed, or the stage was changed without one."
            )
    return faults


def _find_missing_versions(versions: Sequence[VersionRef]) -> list[str]:
    numbers = {version.number for version in versions}
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    return [f"{versions[0].project} v{number} is missing." for number in missing]


def find_chain_faults(decisions: Sequence[Decision]) -> list[str]:
    """Returns a line for each place where a project's chain was changed or shortened; none where it is intact."""
    faults = []
    previous = GENESIS_HASH
    for position, decision in enumerate(decisions, start=1):
        where = f"{decision.project}, decision {decision.sequence}"
        if decision.sequence != position:
            faults.append(
                f"{where} is at position {position} of the chain: one is missing before it."
            )
        elif decision.previous != previous:
            faults.append(
                f"{where} does not follow the one before it, which was changed or removed."
            )
        if not decision.is_intact:
            faults.append(f"{where} was changed after it was made.")
        previous = decision.hash
    return faults
