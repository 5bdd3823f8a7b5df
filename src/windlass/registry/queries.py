"""Reads and writes the registry's tables; every function works in the caller's transaction."""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, and_, func, insert, select, update

from windlass.core.bundle import PROJECT_NAME
from windlass.core.gates import GateResult
from windlass.core.project_spec import ProjectSpec
from windlass.errors import StorageError, UnknownError
from windlass.registry.decisions import GENESIS_HASH, Decision, DecisionReason
from windlass.registry.version import Action, LiveVersion, Stage, Version, VersionRef
from windlass.storage import db_tables

EnumType = TypeVar("EnumType", bound=Enum)

_PROJECT = re.compile(PROJECT_NAME)
_VERSIONS = db_tables.versions.c
_DECISIONS = db_tables.decisions.c


def get_declaration(connection: Connection, project: str, *, lock: bool = False) -> ProjectSpec:
    """Returns a project's declaration. `lock` blocks other writers of the project until the transaction ends.

    Raises UnknownError, which lists the projects of the registry.
    """
    if not _PROJECT.fullmatch(project):
        raise UnknownError(
            "There is no such project. Names are lower-case letters, digits, - and _."
        )
    query = select(db_tables.projects.c.declaration).where(db_tables.projects.c.name == project)
    declaration = connection.execute(query.with_for_update() if lock else query).scalar()
    if declaration is None:
        names = ", ".join(d.name for d in list_declarations(connection)) or "none yet"
        raise UnknownError(
            f"The registry knows no project {project!r}. It knows: {names}. Train it with `windlass train`."
        )
    return ProjectSpec.model_validate(declaration)


def list_declarations(connection: Connection) -> list[ProjectSpec]:
    """Returns every project's declaration, the most recently declared project last."""
    query = select(db_tables.projects.c.declaration).order_by(
        db_tables.projects.c.updated_at, db_tables.projects.c.name
    )
    return [ProjectSpec.model_validate(row) for row in connection.execute(query).scalars()]


def project_names(connection: Connection, project: str | None) -> list[str]:
    """Returns the name of this project alone, or of all projects for None. Raises UnknownError."""
    if project is not None:
        return [get_declaration(connection, project).name]
    return sorted(declaration.name for declaration in list_declarations(connection))


def save_declaration(connection: Connection, declaration: ProjectSpec) -> None:
    """Stores a declaration; it replaces an earlier one of the same project."""
    from sqlalchemy.dialects import postgresql, sqlite

    values = {"declaration": declaration.model_dump(mode="json"), "updated_at": time.time()}
    insert_into = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert_into(db_tables.projects).values(name=declaration.name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def list_versions(connection: Connection, project: str) -> list[Version]:
    """Returns a project's versions, newest first."""
    query = _select_versions(project).order_by(_VERSIONS.number.desc())
    return [_parse_version(row) for row in connection.execute(query)]


def list_version_refs(connection: Connection, project: str) -> list[VersionRef]:
    """Returns number, digest and stage of a project's versions, newest first, without their large JSON columns."""
    columns = _VERSIONS.project, _VERSIONS.number, _VERSIONS.digest, _VERSIONS.stage
    query = select(*columns).where(_VERSIONS.project == project).order_by(_VERSIONS.number.desc())
    rows = (row._asdict() for row in connection.execute(query))
    return [VersionRef(**row | {"stage": _parse_enum(Stage, row["stage"], row)}) for row in rows]


def get_version(connection: Connection, project: str, number: int) -> Version:
    """Returns one version. Raises UnknownError, which names the newest version."""
    version = _first_version(
        connection, _select_versions(project).where(_VERSIONS.number == number)
    )
    if version is None:
        newest = next_number(connection, project) - 1
        hint = f"The newest is v{newest}: `windlass versions {project}` lists them all."
        if not newest:
            hint = "There is none yet: `windlass train` makes one."
        raise UnknownError(f"Project {project!r} has no version v{number}. {hint}")
    return version


def get_production(connection: Connection, project: str) -> Version | None:
    """Returns the production version; None where there is none."""
    query = _select_versions(project).where(_VERSIONS.stage == Stage.PRODUCTION.value)
    return _first_version(connection, query)


def find_registered(
    connection: Connection, project: str, digest: str, job_id: str | None
) -> Version | None:
    """Returns the version that this job, or a bundle with this digest, was registered as."""
    if job_id is not None:
        query = select(db_tables.versions).where(_VERSIONS.job_id == job_id)
        version = _first_version(connection, query)
        if version is not None:
            return version
    return _first_version(connection, _select_versions(project).where(_VERSIONS.digest == digest))


def next_number(connection: Connection, project: str) -> int:
    """Returns the number that the next version gets."""
    query = select(func.max(_VERSIONS.number)).where(_VERSIONS.project == project)
    return (connection.execute(query).scalar() or 0) + 1


def insert_version(connection: Connection, version: Version) -> None:
    """Inserts the row of a new version."""
    values = asdict(version)
    values.pop("baseline_digest")
    values |= {
        "stage": version.stage.value,
        "gates": _gates_json(version.gates, version.baseline_digest),
    }
    connection.execute(insert(db_tables.versions).values(values))


def update_version(connection: Connection, version: VersionRef, **values: Any) -> None:
    """Updates columns of a version's row."""
    connection.execute(
        update(db_tables.versions)
        .where(_VERSIONS.project == version.project, _VERSIONS.number == version.number)
        .values(values)
    )


def save_gates(
    connection: Connection,
    version: Version,
    gates: tuple[GateResult, ...],
    baseline_digest: str | None,
) -> Version:
    """Stores the gate results of a version where they changed, and returns the version with them."""
    updated = replace(version, gates=gates, baseline_digest=baseline_digest)
    if updated != version:
        update_version(connection, version, gates=_gates_json(gates, baseline_digest))
    return updated


def mark_pruned(connection: Connection, version: Version, pruned_at: float) -> Version:
    """Records that a version's bundle is removed, and returns the updated version; time in seconds since 1970."""
    update_version(connection, version, pruned_at=pruned_at)
    return replace(version, pruned_at=pruned_at)


def digest_of(version: VersionRef | None) -> str | None:
    """Returns a version's digest; None for no version."""
    return None if version is None else version.digest


def list_decisions(connection: Connection, project: str) -> list[Decision]:
    """Returns a project's decisions, oldest first."""
    query = (
        select(db_tables.decisions)
        .where(_DECISIONS.project == project)
        .order_by(_DECISIONS.sequence)
    )
    return [_parse_decision(row) for row in connection.execute(query)]


def append_decision(
    connection: Connection, version: Version, action: Action, reason: DecisionReason
) -> Decision:
    """Appends a decision to the project's chain; the caller holds the project's lock."""
    query = (
        select(_DECISIONS.sequence, _DECISIONS.hash)
        .where(_DECISIONS.project == version.project)
        .order_by(_DECISIONS.sequence.desc())
        .limit(1)
    )
    last = connection.execute(query).first()
    decision = Decision(
        project=version.project,
        sequence=1 if last is None else last.sequence + 1,
        action=action,
        number=version.number,
        digest=version.digest,
        actor=reason.actor,
        reason=reason.text,
        decided_at=time.time(),
        previous=GENESIS_HASH if last is None else last.hash,
        hash="",
    ).with_hash()
    values = asdict(decision) | {"action": action.value}
    connection.execute(insert(db_tables.decisions).values(values))
    return decision


def live_versions(connection: Connection, projects: Sequence[str]) -> dict[str, LiveVersion]:
    """Returns the production version of each project that has one, checked against its newest decision."""
    newest = (
        select(_DECISIONS.project, func.max(_DECISIONS.sequence).label("sequence"))
        .where(_DECISIONS.project.in_(projects), _DECISIONS.action != Action.REJECT.value)
        .group_by(_DECISIONS.project)
        .subquery()
    )
    same_decision = and_(
        _DECISIONS.project == newest.c.project, _DECISIONS.sequence == newest.c.sequence
    )
    decisions = {
        row.project: _parse_decision(row)
        for row in connection.execute(select(db_tables.decisions).join(newest, same_decision))
    }
    columns = _VERSIONS.project, _VERSIONS.number, _VERSIONS.digest, _VERSIONS.created_at
    production = select(*columns).where(
        _VERSIONS.project.in_(projects), _VERSIONS.stage == Stage.PRODUCTION.value
    )
    live = {}
    for row in connection.execute(production):
        decision = decisions.get(row.project)
        since = row.created_at if decision is None else decision.decided_at
        reason = _refusal_reason(row, decision)
        live[row.project] = LiveVersion(row.number, row.digest, since, reason)
    return live


def _refusal_reason(row: Row[Any], decision: Decision | None) -> str | None:
    """Returns why the newest promoting decision does not cover a production version; None where it does."""
    if decision is None:
        return "no decision put it in production"
    if not decision.is_intact:
        return f"decision {decision.sequence} was changed after it was made"
    if decision.number != row.number:
        return f"decision {decision.sequence} put {decision.version} in production"
    if decision.digest != row.digest:
        return f"decision {decision.sequence} was about another bundle, {decision.digest[:12]}"
    return None


def _select_versions(project: str) -> Select[Any]:
    return select(db_tables.versions).where(_VERSIONS.project == project)


def _first_version(connection: Connection, query: Select[Any]) -> Version | None:
    row = connection.execute(query).first()
    return None if row is None else _parse_version(row)


def _gates_json(gates: tuple[GateResult, ...], baseline_digest: str | None) -> dict[str, Any]:
    return {"against": baseline_digest, "results": [asdict(gate) for gate in gates]}


def _parse_version(row: Row[Any]) -> Version:
    values = row._asdict()
    gates = values.pop("gates")
    values["stage"] = _parse_enum(Stage, values["stage"], values)
    results = tuple(GateResult(**result) for result in gates["results"])
    return Version(**values, gates=results, baseline_digest=gates["against"])


def _parse_decision(row: Row[Any]) -> Decision:
    values = row._asdict()
    return Decision(**values | {"action": _parse_enum(Action, values["action"], values)})


def _parse_enum(kind: type[EnumType], name: str, values: dict[str, Any]) -> EnumType:
    try:
        return kind(name)
    except ValueError as error:
        raise StorageError(
            f"A row about {values['project']} v{values['number']} holds the {kind.__name__.lower()} {name!r},"
            " which there is not: it was changed by hand. Restore the database."
        ) from error
