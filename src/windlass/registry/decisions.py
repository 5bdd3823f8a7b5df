"""Decisions: who moved which version, when and why; each bound to a bundle's digest and to the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from windlass.core.hashing import canonical_json, sha256
from windlass.errors import RegistryError
from windlass.registry.version import MOVES, Action, Stage, VersionRef

FIRST = "0" * 64  # what the first decision of a project follows
_LONGEST_ACTOR = 200
_LONGEST_REASON = 4000


@dataclass(frozen=True)
class Decision:
    """One link of a project's chain. `hash` is the SHA-256 of all the rest as canonical JSON."""

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
        """The decision and its place in the chain, as JSON."""
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

    def sealed(self) -> "Decision":
        """The same with the hash that it must have."""
        return replace(self, hash=self._hash())

    @property
    def is_intact(self) -> bool:
        """Whether it is what was decided, as far as its own hash says."""
        return self.hash == self._hash()

    def _hash(self) -> str:
        content = {**vars(self), "action": self.action.value}
        del content["hash"]
        return sha256(canonical_json(content))


@dataclass(frozen=True)
class DecisionReason:
    """Who decides, and for what reason. Raises RegistryError where one is missing, or no database can keep it."""

    actor: str
    reason: str

    def __post_init__(self) -> None:
        if not self.actor.strip() or not self.actor.isprintable():
            raise RegistryError(
                f"A decision needs the name of who makes it, in plain characters, not {self.actor!r}."
            )
        if not self.reason.strip():
            raise RegistryError("A decision needs a reason, for those who read it later. Say why.")
        if any(not (c.isprintable() or c in "\n\t") for c in self.reason):
            raise RegistryError("The reason holds control characters. Write it in plain text.")
        for what, text, most in (
            ("name of who decides", self.actor, _LONGEST_ACTOR),
            ("reason", self.reason, _LONGEST_REASON),
        ):
            if len(text) > most:
                raise RegistryError(f"The {what} has {len(text)} characters. Use {most} at most.")


def productions(decisions: Sequence[Decision]) -> list[int]:
    """The numbers of the versions that were put in production, in order; one may come again."""
    return [d.number for d in decisions if d.action is not Action.REJECT]


def faults(versions: Sequence[VersionRef], decisions: Sequence[Decision]) -> list[str]:
    """What is wrong with a project's chain, with its versions' stages against it, or with their numbers."""
    known = {version.number: version for version in versions}
    found = _gaps(versions) + broken(decisions)
    stages: dict[int, Stage] = {}
    production: int | None = None
    for decision in decisions:
        where = f"{decision.project}, decision {decision.sequence}"
        version = known.get(decision.number)
        if version is None:
            found.append(f"{where} is about {decision.version}, which is not there.")
            continue
        if version.digest != decision.digest:
            found.append(
                f"{where} is about another bundle ({decision.digest[:12]}) than {decision.version} is now"
                f" ({version.digest[:12]})."
            )
        needed, stage = MOVES[decision.action]
        was = stages.get(decision.number, Stage.CANDIDATE)
        if was is not needed:
            found.append(
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
            found.append(
                f"{version.project} {version.name} is {version.stage.value}, but by the decisions it is"
                f" {stage.value}: one was removed, or the stage was changed without one."
            )
    return found


def _gaps(versions: Sequence[VersionRef]) -> list[str]:
    numbers = {version.number for version in versions}
    missing = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    return [f"{versions[0].project} v{number} is missing." for number in missing]


def broken(decisions: Sequence[Decision]) -> list[str]:
    """Where a project's chain is not the one that was made. Empty: it is."""
    found = []
    previous = FIRST
    for place, decision in enumerate(decisions, start=1):
        where = f"{decision.project}, decision {decision.sequence}"
        if decision.sequence != place:
            found.append(f"{where} stands in place {place}: one is missing before it.")
        elif decision.previous != previous:
            found.append(
                f"{where} does not follow the one before it, which was changed or removed."
            )
        if not decision.is_intact:
            found.append(f"{where} was changed after it was made.")
        previous = decision.hash
    return found
