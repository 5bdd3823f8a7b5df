"""The registry: versions and what was decided about them, in the database; their bundles, in the store."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from windlass.core.bundle import Bundle
from windlass.core.project_spec import ProjectSpec
from windlass.errors import RegistryError, StorageError
from windlass.registry import queries, transitions
from windlass.registry.bundle_repository import BundleRepository
from windlass.registry.decisions import Decision, DecisionReason, faults
from windlass.registry.gate_evaluation import GateEvaluation
from windlass.registry.queries import live
from windlass.registry.registration import checked, entry
from windlass.registry.retention import expendable, leftovers, strays
from windlass.registry.version import Action, LiveVersion, Stage, Version, number_of
from windlass.settings import Settings
from windlass.storage.database import Database

POLICY = "policy"  # the actor of decisions that nobody had to make
_TRIES = 5  # how often an approval starts again because production changed under it

_log = logging.getLogger(__name__)


class Registry:
    """What is known of all projects. Safe to share between threads; every process opens its own.

    Every method raises StorageError where database or store fail or cannot be reached; what it began is
    then undone, or will be by the next `sweep`.
    """

    def __init__(self, database: Database, bundles: BundleRepository) -> None:
        self.database = database
        self._bundles = bundles

    @classmethod
    def of(cls, settings: Settings, *, must_exist: bool = False) -> "Registry":
        """The registry that the settings name. Raises SettingsError, StorageError.

        Where it `must_exist`, no empty database is made in the place of a file that is not there.
        """
        bundles = BundleRepository.of(settings)
        return cls(Database.of(settings, must_exist=must_exist), bundles)

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()

    def declare(self, declaration: ProjectSpec) -> None:
        """Keep a project's declaration, in the place of an earlier one."""
        with self.database.writing() as connection:
            queries.declare(connection, declaration)

    def declarations(self) -> list[ProjectSpec]:
        """Every project's declaration, the one declared last at the end."""
        with self.database.reading() as connection:
            return queries.declarations(connection)

    def declaration(self, project: str) -> ProjectSpec:
        """A project's declaration. Raises UnknownError, naming the projects that are known."""
        with self.database.reading() as connection:
            return queries.declaration(connection, project)

    def versions(self, project: str) -> list[Version]:
        """A project's versions, the newest first. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            return queries.versions(connection, project)

    def version(self, project: str, name: str) -> Version:
        """The version of this name, `v3`. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            return queries.version(connection, project, number_of(name))

    def production(self, project: str) -> Version | None:
        """The version in production, if there is one. Raises UnknownError for an unknown project."""
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            return queries.production(connection, project)

    def approved(self, project: str, name: str) -> Version:
        """A version that is or was in production, by the decisions about this very bundle.

        Raises UnknownError where there is no such version, RegistryError where it never was, or where a
        decision was changed.
        """
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            version = queries.version(connection, project, number_of(name))
            decisions = queries.decisions(connection, project)
        return transitions.approved(version, decisions)

    def available(self, project: str) -> list[Version]:
        """The versions that `approved` gives and whose bundles are kept, the newest first. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            return transitions.available(
                queries.versions(connection, project), queries.decisions(connection, project)
            )

    def live(self, projects: Sequence[str]) -> dict[str, LiveVersion]:
        """The production versions of these projects, cheaply; none for a project that has none."""
        with self.database.reading() as connection:
            return live(connection, projects)

    def decisions(self, project: str | None = None) -> list[Decision]:
        """A project's decisions, or everybody's, project by project, the oldest first. Raises UnknownError."""
        with self.database.reading() as connection:
            names = queries.names(connection, project)
            return [d for name in names for d in queries.decisions(connection, name)]

    def check(self, project: str | None = None) -> list[str]:
        """What is wrong with the decisions, or with the versions against them. Empty: nothing."""
        found: list[str] = []
        with self.database.reading() as connection:
            for name in queries.names(connection, project):
                found += faults(
                    queries.versions(connection, name), queries.decisions(connection, name)
                )
        return found

    def fetch(self, version: Version) -> Bundle:
        """A version's bundle on this machine, every file verified, and the one that the registry knows.

        Raises RegistryError where it was pruned, IntegrityError where it was altered, StorageError.
        """
        return self._bundles.open(version)

    def location(self, version: Version) -> str:
        """Where a version's bundle is, for people: a folder, or the address of one."""
        return self._bundles.where(version)

    def register(self, folder: Path, *, trained_by: str, job_id: str | None = None) -> Version:
        """Keep a copy of a sealed bundle as the next version of its project, and judge its gates.

        The same job, or the very same bundle, again gives the version that is there. Raises BundleError,
        IntegrityError; UnknownError for a project that was not declared; StorageError.
        """
        checked(trained_by, job_id)
        bundle = Bundle.open(folder)
        project = bundle.manifest.project
        with self.database.reading() as connection:
            queries.declaration(connection, project)
            known = queries.same(connection, project, bundle.digest, job_id)
            production = queries.production(connection, project)
        if known is not None:
            return known
        judgement = GateEvaluation.of(bundle, production, self.fetch)
        new = entry(
            bundle, judgement, 0, created_at=time.time(), trained_by=trained_by, job_id=job_id
        )
        self.sweep()
        incoming = self._bundles.receive(bundle)
        try:
            return self._enter(new, incoming)
        finally:
            self._bundles.discard(incoming)

    def _enter(self, new: Version, incoming: str) -> Version:
        """Number a version, put its bundle in place and add its row, in this order.

        A crash before the commit leaves a folder that no version has, until the next `sweep`.
        """
        with self.database.writing() as connection:
            queries.declaration(connection, new.project, lock=True)
            known = queries.same(connection, new.project, new.digest, new.job_id)
            if known is not None:
                return known
            new = replace(new, number=queries.next_number(connection, new.project))
            self._bundles.place(incoming, new.project, new.number)
            queries.add(connection, new)
        return new

    def settle(self, version: Version) -> Version:
        """Carry out the project's policy: where it is automatic, a candidate whose gates passed is approved.

        Done twice, it changes nothing more. A candidate that is older than production is left to a person.
        """
        policy = self.declaration(version.project).policy
        version = self.version(version.project, version.name)
        production = self.production(version.project)
        newest = production is None or production.number < version.number
        if policy == "automatic" and version.stage is Stage.CANDIDATE and newest:
            try:
                self._approve(version, DecisionReason(POLICY, "Every gate passed."), automatic=True)
            except RegistryError as error:  # judged again, or decided by somebody meanwhile
                _log.info("left to a person", extra={"version": version.name, "reason": str(error)})
        return self.version(version.project, version.name)

    def approve(self, project: str, name: str, *, actor: str, reason: str) -> Decision:
        """Put a candidate in production; what stood there is archived.

        Raises UnknownError; RegistryError where the move is illegal, a gate did not pass, four eyes are asked
        for, or decisions are missing or changed; IntegrityError where the bundle was altered.
        """
        return self._approve(
            self.version(project, name), DecisionReason(actor, reason), automatic=False
        )

    def _approve(self, version: Version, why: DecisionReason, *, automatic: bool) -> Decision:
        project, number = version.project, version.number
        for _ in range(_TRIES):
            judgement = self._judgement(version, why)
            with self.database.writing() as connection:
                declared = queries.declaration(connection, project, lock=True)
                version = queries.version(connection, project, number)
                transitions.approvable(declared, version, why)
                if judgement.against != queries.digest_of(queries.production(connection, project)):
                    continue  # production changed while the gates were judged
                version = queries.judged(connection, version, judgement.gates, judgement.against)
                barring = version.open_gates if automatic else version.failed
                if not barring:
                    return transitions.approve(connection, version, why)
            raise transitions.refusal(
                version, barring
            )  # after the commit: how the gates went is kept
        raise RegistryError(
            f"{project} {version.name} was not approved: production changed {_TRIES} times meanwhile. Try again."
        )

    def _judgement(self, version: Version, why: DecisionReason) -> GateEvaluation:
        """How the gates go against what is in production now: as they went, unless that has changed."""
        transitions.approvable(self.declaration(version.project), version, why)
        bundle = self.fetch(version)
        production = self.production(version.project)
        known = GateEvaluation.standing(version, queries.digest_of(production))
        return known or GateEvaluation.of(bundle, production, self.fetch)

    def reject(self, project: str, name: str, *, actor: str, reason: str) -> Decision:
        """Reject a candidate. Raises UnknownError; RegistryError as `approve` does, but for gates and eyes."""
        why = DecisionReason(actor, reason)
        with self.database.writing() as connection:
            queries.declaration(connection, project, lock=True)
            version = queries.version(connection, project, number_of(name))
            return transitions.reject(connection, version, why)

    def rollback(self, project: str, to: str | None = None, *, actor: str, reason: str) -> Decision:
        """Put an archived version in production again; without `to`, the one that stood there before.

        Raises UnknownError; RegistryError for an illegal move, where none stood there before, or where
        decisions are missing or changed; IntegrityError where the bundle was altered.
        """
        why = DecisionReason(actor, reason)
        number = None if to is None else number_of(to)
        for _ in range(_TRIES):
            with self.database.reading() as connection:
                queries.declaration(connection, project)
                version = transitions.returnable(connection, project, number)
            self.fetch(version)
            with self.database.writing() as connection:
                queries.declaration(connection, project, lock=True)
                if transitions.returnable(connection, project, number) == version:
                    return transitions.promote(connection, version, Action.ROLLBACK, why)
        raise RegistryError(
            f"{project} was not rolled back: production changed {_TRIES} times meanwhile. Try again."
        )

    def prune(self, project: str, keep: int) -> list[Version]:
        """Remove bundles of old versions, but for the `keep` newest and the `keep` newest that may be of use.

        Never production's, nor that of the version that a rollback would return to. The rows stay. Raises
        UnknownError.
        """
        if keep < 0:
            raise RegistryError(f"One cannot keep {keep} versions. Use 0 or more.")
        with self.database.writing() as connection:
            queries.declaration(connection, project, lock=True)
            found = expendable(
                queries.versions(connection, project), queries.decisions(connection, project), keep
            )
            pruned = [queries.prune(connection, version, time.time()) for version in found]
        for version in pruned:  # after the commit: a crash leaves folders that `sweep` removes
            self._bundles.forget(version)
        return pruned

    def sweep(self) -> None:
        """Clear up after crashes: what was never whole or was pruned goes, what no version has is set aside.

        What fails is left for the next time.
        """
        try:
            self._bundles.sweep()
            with self.database.reading() as connection:
                projects = queries.names(connection, None)
            for project in projects:
                self._tidy(project)
        except StorageError as error:
            _log.warning("registry not swept", extra={"reason": str(error)})

    def _tidy(self, project: str) -> None:
        """Have folders for the versions of a project that were not pruned, and for no other."""
        folders = self._bundles.numbers(project)
        with self.database.reading() as connection:
            versions = queries.versions(connection, project)
        for number in leftovers(folders, versions):
            self._bundles.remove(project, number)
        self._bundles.reclaim(project, (version.digest for version in versions))
        if not strays(folders, versions):
            return
        with self.database.writing() as connection:  # nobody is between a folder and its row now
            queries.declaration(connection, project, lock=True)
            versions = queries.versions(connection, project)
            for number in strays(self._bundles.numbers(project), versions):
                self._bundles.set_aside(project, number)
