"""Decisions as they are made: what each asks for, and what it does to the stages. In the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection

from windlass.core.gates import GateResult
from windlass.core.project_spec import ProjectSpec
from windlass.errors import RegistryError
from windlass.registry import queries
from windlass.registry.decisions import Decision, DecisionReason, broken, faults, productions
from windlass.registry.version import Action, Stage, Version

_NOBODY = "anonymous"  # who trains and decides where keys are not asked for


def approvable(declared: ProjectSpec, version: Version, why: DecisionReason) -> None:
    """Raise RegistryError where a version cannot be approved, or not by this person. Gates come after."""
    allowed(version, Action.APPROVE)
    if not declared.four_eyes:
        return
    if _NOBODY in (version.trained_by, why.actor):
        done = "trained" if version.trained_by == _NOBODY else "approved"
        again = "train it again" if done == "trained" else "approve it"
        raise RegistryError(
            f"The project asks for four eyes, and nobody knows who {done} {version.project} {version.name}: no keys"
            f" were asked for. Set WINDLASS_AUTH=required and {again} with a key of your own."
        )
    if why.actor == version.trained_by:
        raise RegistryError(
            f"{version.project} {version.name} was trained by {version.trained_by}, and the project asks for"
            " four eyes. Have somebody else approve it, with a key of their own: `windlass keys create --name NAME"
            " --role approve` makes one, `windlass approve --key KEY` takes it."
        )


def refusal(version: Version, gates: Sequence[GateResult]) -> RegistryError:
    """Why a version that did not pass these gates is not approved."""
    told = "; ".join(
        f"{gate.rule} ({'not measured' if gate.value is None else f'{gate.value:.6g}'})"
        + (f", {gate.note}" if gate.note else "")
        for gate in gates
    )
    return RegistryError(
        f"{version.project} {version.name} did not pass its gates: {told}. Train a better one,"
        " or change the gates in project.py and train again."
    )


def allowed(version: Version, action: Action) -> None:
    """Raise RegistryError where a version cannot be put in production by this action."""
    version.moved(action)
    if version.pruned_at is not None:
        raise RegistryError(
            f"The bundle of {version.project} {version.name} was removed by `windlass prune`, and nothing is left"
            f" of it to serve. Train it again: `windlass show {version.project} {version.name}` tells how it was made."
        )


def whole(connection: Connection, project: str) -> list[Decision]:
    """A project's decisions, the oldest first, which fit each other and the stages of its versions.

    Raises RegistryError where they do not: another decision would make up for one that was removed, and
    nobody could find it any more.
    """
    decisions = queries.decisions(connection, project)
    found = faults(queries.standings(connection, project), decisions)
    if found:
        raise RegistryError(
            f"{found[0]} Nothing is decided about {project} until its database is restored from a backup; what is"
            f" in production goes on answering. `windlass decisions {project} --verify` tells all that is wrong."
        )
    return decisions


def approve(connection: Connection, version: Version, why: DecisionReason) -> Decision:
    """Put a version that may be approved in production. Raises RegistryError where decisions are not `whole`."""
    whole(connection, version.project)
    return promote(connection, version, Action.APPROVE, why)


def promote(
    connection: Connection, version: Version, action: Action, why: DecisionReason
) -> Decision:
    """Put a version in production, and archive the one that stands there. The caller saw that all is `whole`."""
    decision = queries.decide(connection, version, action, why)
    standing = queries.production(connection, version.project)
    if standing is not None:  # first, for there is one production version at any moment
        queries.change(connection, standing, stage=Stage.ARCHIVED.value)
    queries.change(connection, version, stage=version.moved(action).value)
    return decision


def reject(connection: Connection, version: Version, why: DecisionReason) -> Decision:
    """Reject a candidate. Raises RegistryError for an illegal move, and where the decisions are not `whole`."""
    stage = version.moved(Action.REJECT)
    whole(connection, version.project)
    queries.change(connection, version, stage=stage.value)
    return queries.decide(connection, version, Action.REJECT, why)


def predecessor(project: str, decisions: Sequence[Decision]) -> int:
    """The number of the version that was in production before. Raises RegistryError where none was."""
    history = productions(decisions)
    if not history:
        raise RegistryError(f"No version of {project} was in production yet. Approve one.")
    if len(history) < 2:
        raise RegistryError(
            f"No version of {project} was in production before v{history[0]}. Approve another one instead."
        )
    return history[-2]


def returnable(connection: Connection, project: str, to: int | None) -> Version:
    """The version that a rollback puts in production: this one, or the one that stood there before.

    Raises UnknownError; RegistryError for an illegal move, and where the decisions are not `whole`: where they
    are, one of them put every archived version there.
    """
    decisions = whole(connection, project)
    number = predecessor(project, decisions) if to is None else to
    version = queries.version(connection, project, number)
    allowed(version, Action.ROLLBACK)
    return version


def approved(version: Version, decisions: Sequence[Decision]) -> Version:
    """The version, where a decision put this very bundle in production and the chain is whole.

    Raises RegistryError.
    """
    changed = broken(decisions)
    if changed:
        raise RegistryError(
            f"{changed[0]} Until the database is restored from a backup, no decision about {version.project} is"
            f" trusted, so {version.name} does not count as approved. See `windlass decisions --verify`."
        )
    promoting = [d for d in decisions if d.action is not Action.REJECT]
    about = [d for d in promoting if d.number == version.number]
    if not about:
        raise RegistryError(
            f"{version.project} {version.name} was never approved: it is {version.stage.value}."
            " Only versions that are or were in production can be asked."
        )
    if about[-1].digest != version.digest:
        raise RegistryError(
            f"{version.project} {version.name} is another bundle than was approved."
            " See `windlass decisions --verify`."
        )
    return version


def available(versions: Sequence[Version], decisions: Sequence[Decision]) -> list[Version]:
    """Those that `approved` lets pass and whose bundles are kept; none where the chain is not whole."""
    if broken(decisions):
        return []
    digests = {d.number: d.digest for d in decisions if d.action is not Action.REJECT}
    return [
        version
        for version in versions
        if digests.get(version.number) == version.digest and version.pruned_at is None
    ]
