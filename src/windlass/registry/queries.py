"""Rows of the registry's tables as values, and back. Every function works in the caller's transaction."""

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
from windlass.registry.decisions import FIRST, Decision, DecisionReason
from windlass.registry.version import Action, LiveVersion, Stage, Version, VersionRef
from windlass.storage import db_tables

Named = TypeVar("Named", bound=Enum)

_PROJECT = re.compile(PROJECT_NAME)
_VERSIONS = db_tables.versions.c
_DECISIONS = db_tables.decisions.c


def declaration(connection: Connection, project: str, *, lock: bool = False) -> ProjectSpec:
    """A project's declaration. `lock` keeps every other writer of the project out until the transaction ends.

    Raises UnknownError, naming the projects that are known.
    """
    if not _PROJECT.fullmatch(project):
        raise UnknownError(
            "There is no such project. Names are lower-case letters, digits, - and _."
        )
    query = select(db_tables.projects.c.declaration).where(db_tables.projects.c.name == project)
    found = connection.execute(query.with_for_update() if lock else query).scalar()
    if found is None:
        known = ", ".join(d.name for d in declarations(connection)) or "none yet"
        raise UnknownError(
            f"The registry knows no project {project!r}. It knows: {known}. Train it with `windlass train`."
        )
    return ProjectSpec.model_validate(found)


def declarations(connection: Connection) -> list[ProjectSpec]:
    """Every project's declaration, the one declared last at the end."""
    query = select(db_tables.projects.c.declaration).order_by(
        db_tables.projects.c.updated_at, db_tables.projects.c.name
    )
    return [ProjectSpec.model_validate(row) for row in connection.execute(query).scalars()]


def names(connection: Connection, project: str | None) -> list[str]:
    """This project alone, or all that are known. Raises UnknownError."""
    if project is not None:
        return [declaration(connection, project).name]
    return sorted(declared.name for declared in declarations(connection))


def declare(connection: Connection, declared: ProjectSpec) -> None:
    """Keep a declaration, in the place of an earlier one."""
    from sqlalchemy.dialects import postgresql, sqlite

    values = {"declaration": declared.model_dump(mode="json"), "updated_at": time.time()}
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(db_tables.projects).values(name=declared.name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def versions(connection: Connection, project: str) -> list[Version]:
    """A project's versions, the newest first."""
    query = _of(project).order_by(_VERSIONS.number.desc())
    return [_version(row) for row in connection.execute(query)]


def standings(connection: Connection, project: str) -> list[VersionRef]:
    """Where each of a project's versions stands, the newest first; without the facts, which take long to read."""
    columns = _VERSIONS.project, _VERSIONS.number, _VERSIONS.digest, _VERSIONS.stage
    query = select(*columns).where(_VERSIONS.project == project).order_by(_VERSIONS.number.desc())
    found = (row._asdict() for row in connection.execute(query))
    return [VersionRef(**row | {"stage": _known(Stage, row["stage"], row)}) for row in found]


def version(connection: Connection, project: str, number: int) -> Version:
    """One version. Raises UnknownError, naming the newest."""
    found = first(connection, _of(project).where(_VERSIONS.number == number))
    if found is None:
        newest = next_number(connection, project) - 1
        there = f"The newest is v{newest}: `windlass versions {project}` lists them all."
        if not newest:
            there = "There is none yet: `windlass train` makes one."
        raise UnknownError(f"Project {project!r} has no version v{number}. {there}")
    return found


def production(connection: Connection, project: str) -> Version | None:
    """The version in production."""
    return first(connection, _of(project).where(_VERSIONS.stage == Stage.PRODUCTION.value))


def same(connection: Connection, project: str, digest: str, job_id: str | None) -> Version | None:
    """The version that this job, or this very bundle, was registered as."""
    if job_id is not None:
        found = first(connection, select(db_tables.versions).where(_VERSIONS.job_id == job_id))
        if found is not None:
            return found
    return first(connection, _of(project).where(_VERSIONS.digest == digest))


def first(connection: Connection, query: Select[Any]) -> Version | None:
    """The first version that a query finds."""
    row = connection.execute(query).first()
    return None if row is None else _version(row)


def next_number(connection: Connection, project: str) -> int:
    """The number that the next version gets."""
    query = select(func.max(_VERSIONS.number)).where(_VERSIONS.project == project)
    return (connection.execute(query).scalar() or 0) + 1


def add(connection: Connection, new: Version) -> None:
    """Keep a new version."""
    values = asdict(new)
    values.pop("against")
    values |= {"stage": new.stage.value, "gates": _gates(new.gates, new.against)}
    connection.execute(insert(db_tables.versions).values(values))


def change(connection: Connection, changed: Version, **values: Any) -> None:
    """Change columns of a version's row."""
    connection.execute(
        update(db_tables.versions)
        .where(_VERSIONS.project == changed.project, _VERSIONS.number == changed.number)
        .values(values)
    )


def judged(
    connection: Connection, which: Version, gates: tuple[GateResult, ...], against: str | None
) -> Version:
    """Keep how the gates of a version went, and give the version with them."""
    after = replace(which, gates=gates, against=against)
    if after != which:
        change(connection, which, gates=_gates(gates, against))
    return after


def prune(connection: Connection, which: Version, at: float) -> Version:
    """Keep that the bundle of a version is removed, and give the version with that."""
    change(connection, which, pruned_at=at)
    return replace(which, pruned_at=at)


def digest_of(which: Version | None) -> str | None:
    """The digest of a version, where there is one."""
    return None if which is None else which.digest


def decisions(connection: Connection, project: str) -> list[Decision]:
    """A project's decisions, the oldest first."""
    query = (
        select(db_tables.decisions)
        .where(_DECISIONS.project == project)
        .order_by(_DECISIONS.sequence)
    )
    return [decision(row) for row in connection.execute(query)]


def decide(connection: Connection, about: Version, action: Action, why: DecisionReason) -> Decision:
    """Add a decision to the chain. The caller holds the project's lock."""
    query = (
        select(_DECISIONS.sequence, _DECISIONS.hash)
        .where(_DECISIONS.project == about.project)
        .order_by(_DECISIONS.sequence.desc())
        .limit(1)
    )
    last = connection.execute(query).first()
    made = Decision(
        project=about.project,
        sequence=1 if last is None else last.sequence + 1,
        action=action,
        number=about.number,
        digest=about.digest,
        actor=why.actor,
        reason=why.reason,
        decided_at=time.time(),
        previous=FIRST if last is None else last.hash,
        hash="",
    ).sealed()
    connection.execute(insert(db_tables.decisions).values(asdict(made) | {"action": action.value}))
    return made


def decision(row: Row[Any]) -> Decision:
    """A row of decisions as a value."""
    values = row._asdict()
    return Decision(**values | {"action": _known(Action, values["action"], values)})


def _of(project: str) -> Select[Any]:
    return select(db_tables.versions).where(_VERSIONS.project == project)


def _gates(gates: tuple[GateResult, ...], against: str | None) -> dict[str, Any]:
    return {"against": against, "results": [asdict(gate) for gate in gates]}


def _version(row: Row[Any]) -> Version:
    values = row._asdict()
    gates = values.pop("gates")
    values["stage"] = _known(Stage, values["stage"], values)
    results = tuple(GateResult(**result) for result in gates["results"])
    return Version(**values, gates=results, against=gates["against"])


def _known(kind: type[Named], name: str, values: dict[str, Any]) -> Named:
    try:
        return kind(name)
    except ValueError as error:
        raise StorageError(
            f"A row about {values['project']} v{values['number']} holds the {kind.__name__.lower()} {name!r},"
            " which there is not: it was changed by hand. Restore the database."
        ) from error


_V = db_tables.versions.c
_D = db_tables.decisions.c


def live(connection: Connection, projects: Sequence[str]) -> dict[str, LiveVersion]:
    """The production version of each of these projects that has one, checked against the newest decision."""
    newest = (
        select(_D.project, func.max(_D.sequence).label("sequence"))
        .where(_D.project.in_(projects), _D.action != Action.REJECT.value)
        .group_by(_D.project)
        .subquery()
    )
    production = select(_V.project, _V.number, _V.digest, _V.created_at).where(
        _V.project.in_(projects), _V.stage == Stage.PRODUCTION.value
    )
    decided = select(db_tables.decisions).join(
        newest, and_(_D.project == newest.c.project, _D.sequence == newest.c.sequence)
    )
    newest_decisions = {row.project: decision(row) for row in connection.execute(decided)}
    found = {}
    for row in connection.execute(production):
        last = newest_decisions.get(row.project)
        refused = None
        if last is None:
            refused = "no decision put it in production"
        elif not last.is_intact:
            refused = f"decision {last.sequence} was changed after it was made"
        elif last.number != row.number:
            refused = f"decision {last.sequence} put {last.version} in production"
        elif last.digest != row.digest:
            refused = f"decision {last.sequence} was about another bundle, {last.digest[:12]}"
        since = row.created_at if last is None else last.decided_at
        found[row.project] = LiveVersion(row.number, row.digest, since, refused)
    return found
