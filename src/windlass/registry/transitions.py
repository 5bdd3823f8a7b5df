"""Checks and carries out decisions: approve, reject, roll back; works in the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection

from windlass.core.gates import GateResult
from windlass.core.project_spec import ProjectSpec
from windlass.errors import RegistryError
from windlass.registry import queries
from windlass.registry.decisions import (
    Decision,
    DecisionReason,
    find_chain_faults,
    find_faults,
    production_history,
)
from windlass.registry.version import Action, Stage, Version

_ANONYMOUS = "anonymous"  # who trains and decides where keys are not required


def require_approvable(declaration: ProjectSpec, version: Version, reason: DecisionReason) -> None:
    """Raises RegistryError where a version cannot be approved, or not by this actor; does not check its gates."""
    require_promotable(version, Action.APPROVE)
    if not declaration.four_eyes:
        return
    if _ANONYMOUS in (version.trained_by, reason.actor):
        step = "trained" if version.trained_by == _ANONYMOUS else "approved"
        again = "train it again" if step == "trained" else "approve it"
        raise RegistryError(
            f"The project requires four eyes, and it is not known who {step} {version.project} {version.name}: no key"
            f" was required. Set WINDLASS_AUTH=required and {again} with a key of your own."
        )
    if reason.actor == version.trained_by:
        raise RegistryError(
            f"{version.project} {version.name} was trained by {version.trained_by}, and the project requires"
            " four eyes. Have somebody else approve it, with a key of their own: `windlass keys create --name NAME"
            " --role approve` makes one, `windlass approve --key KEY` takes it."
        )


def gate_refusal(version: Version, gates: Sequence[GateResult]) -> RegistryError:
    """Returns the error for a version that did not pass these gates."""
    results = "; ".join(
        f"{gate.rule} ({'not measured' if gate.value is None else f'{gate.value:.6g}'})"
        + (f", {gate.note}" if gate.note else "")
        for gate in gates
    )
    return RegistryError(
        f"{version.project} {version.name} did not pass its gates: {results}. Train a better one,"
        " or change the gates in project.py and train again."
    )


def require_promotable(version: Version, action: Action) -> None:
    """Raises RegistryError where this action cannot put the version in production."""
    version.stage_after(action)
    if version.pruned_at is not None:
        raise RegistryError(
            f"The bundle of {version.project} {version.name} was removed by `windlass prune`, and nothing is left"
            f" of it to serve. Train it again: `windlass show {version.project} {version.name}` shows how it was made."
        )


def verified_decisions(connection: Connection, project: str) -> list[Decision]:
    """Returns a project's decisions, oldest first, after it checked them against each other and the stages.

    Raises RegistryError where they do not agree: one more decision could hide that one was removed.
    """
    decisions = queries.list_decisions(connection, project)
    faults = find_faults(queries.list_version_refs(connection, project), decisions)
    if faults:
        raise RegistryError(
            f"{faults[0]} Nothing is decided about {project} until its database is restored from a backup; what is"
            f" in production goes on answering. `windlass decisions {project} --verify` lists all that is wrong."
        )
    return decisions


def approve(connection: Connection, version: Version, reason: DecisionReason) -> Decision:
    """Puts an approvable version in production. Raises RegistryError where the decisions are not consistent."""
    verified_decisions(connection, version.project)
    return promote(connection, version, Action.APPROVE, reason)


def promote(
    connection: Connection, version: Version, action: Action, reason: DecisionReason
) -> Decision:
    """Puts a version in production and archives the current one; the caller has verified the decisions."""
    decision = queries.append_decision(connection, version, action, reason)
    production = queries.get_production(connection, version.project)
    if production is not None:  # first: the database allows one production version a project
        queries.update_version(connection, production, stage=Stage.ARCHIVED.value)
    queries.update_version(connection, version, stage=version.stage_after(action).value)
    return decision


def reject(connection: Connection, version: Version, reason: DecisionReason) -> Decision:
    """Rejects a candidate. Raises RegistryError for an illegal transition or inconsistent decisions."""
    stage = version.stage_after(Action.REJECT)
    verified_decisions(connection, version.project)
    queries.update_version(connection, version, stage=stage.value)
    return queries.append_decision(connection, version, Action.REJECT, reason)


def previous_production(project: str, decisions: Sequence[Decision]) -> int:
    """Returns the number of the version that was in production before. Raises RegistryError where none was."""
    history = production_history(decisions)
    if not history:
        raise RegistryError(f"No version of {project} was in production yet. Approve one.")
    if len(history) < 2:
        raise RegistryError(
            f"No version of {project} was in production before v{history[0]}. Approve another one instead."
        )
    return history[-2]


def rollback_target(connection: Connection, project: str, number: int | None) -> Version:
    """Returns the version that a rollback puts in production: this one, or the previous production version.

    Raises UnknownError; RegistryError for an illegal transition or inconsistent decisions. Consistent
    decisions prove that every archived version was in production once.
    """
    decisions = verified_decisions(connection, project)
    if number is None:
        number = previous_production(project, decisions)
    version = queries.get_version(connection, project, number)
    require_promotable(version, Action.ROLLBACK)
    return version


def require_approved(version: Version, decisions: Sequence[Decision]) -> Version:
    """Returns the version if an intact chain of decisions put this very bundle in production.

    Raises RegistryError.
    """
    faults = find_chain_faults(decisions)
    if faults:
        raise RegistryError(
            f"{faults[0]} Until the database is restored from a backup, no decision about {version.project} is"
            f" trusted, so {version.name} does not count as approved. See `windlass decisions --verify`."
        )
    promotions = [
        d for d in decisions if d.action is not Action.REJECT and d.number == version.number
    ]
    if not promotions:
        raise RegistryError(
            f"{version.project} {version.name} was never approved: it is {version.stage.value}."
            " Only versions that are or were in production can be requested."
        )
    if promotions[-1].digest != version.digest:
        raise RegistryError(
            f"{version.project} {version.name} is another bundle than was approved."
            " See `windlass decisions --verify`."
        )
    return version


def servable_versions(versions: Sequence[Version], decisions: Sequence[Decision]) -> list[Version]:
    """Returns the approved versions whose bundles are kept; none where the chain of decisions is not intact."""
    if find_chain_faults(decisions):
        return []
    digests = {d.number: d.digest for d in decisions if d.action is not Action.REJECT}
    return [
        version
        for version in versions
        if digests.get(version.number) == version.digest and version.pruned_at is None
    ]
