"""The registry: versions and decisions in the database, their bundles in the blob store."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from windlass.core.bundle import Bundle
from windlass.core.data_checks import read_data_checks
from windlass.core.hashing import canonical_json
from windlass.core.project_spec import ProjectSpec
from windlass.errors import BundleError, RegistryError, StorageError, counted
from windlass.registry import queries, transitions
from windlass.registry.bundle_repository import BundleRepository
from windlass.registry.decisions import Decision, DecisionReason, find_faults
from windlass.registry.gate_evaluation import GateEvaluation
from windlass.registry.retention import prunable_versions, pruned_folders, unregistered_folders
from windlass.registry.version import Action, LiveVersion, Stage, Version, parse_version_number
from windlass.settings import Settings
from windlass.storage.database import Database

POLICY_ACTOR = "policy"  # the actor of automatic approvals
_MAX_ATTEMPTS = 5  # of a decision that starts again because production changed meanwhile
_MAX_NAME_LENGTH = 200
_MAX_JOB_ID_LENGTH = 64

_log = logging.getLogger(__name__)


class Registry:
    """Model registry of all projects.

    Safe to share between threads; every process opens its own.
    Every method raises StorageError where database or blob store fail or cannot be reached; an unfinished
    change is then undone, at once or by the next `sweep`.
    """

    def __init__(self, database: Database, bundles: BundleRepository) -> None:
        self.database = database
        self._bundles = bundles

    @classmethod
    def open(cls, settings: Settings, *, must_exist: bool = False) -> "Registry":
        """Opens the registry that the settings name. Raises SettingsError, StorageError.

        With `must_exist` a missing SQLite file is an error; no empty database is created in its place.
        """
        bundles = BundleRepository.from_settings(settings)
        return cls(Database.open(settings, must_exist=must_exist), bundles)

    def close(self) -> None:
        """Closes the database's connections."""
        self.database.close()

    def declare(self, declaration: ProjectSpec) -> None:
        """Stores a project's declaration; it replaces an earlier one."""
        with self.database.writing() as connection:
            queries.save_declaration(connection, declaration)

    def declarations(self) -> list[ProjectSpec]:
        """Returns every project's declaration, the most recently declared project last."""
        with self.database.reading() as connection:
            return queries.list_declarations(connection)

    def declaration(self, project: str) -> ProjectSpec:
        """Returns a project's declaration. Raises UnknownError, which lists the projects of the registry."""
        with self.database.reading() as connection:
            return queries.get_declaration(connection, project)

    def versions(self, project: str) -> list[Version]:
        """Returns a project's versions, newest first. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            return queries.list_versions(connection, project)

    def version(self, project: str, name: str) -> Version:
        """Returns the version of this name, such as `v3`. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            return queries.get_version(connection, project, parse_version_number(name))

    def production(self, project: str) -> Version | None:
        """Returns the production version, None without one. Raises UnknownError for an unknown project."""
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            return queries.get_production(connection, project)

    def approved_version(self, project: str, name: str) -> Version:
        """Returns a version that is or was in production, by the decisions about this very bundle.

        Raises UnknownError where there is no such version, RegistryError where it was never approved, or
        where a decision was changed.
        """
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            version = queries.get_version(connection, project, parse_version_number(name))
            decisions = queries.list_decisions(connection, project)
        return transitions.require_approved(version, decisions)

    def version_of(self, bundle: Bundle) -> Version | None:
        """Returns the version that is this very bundle; None where there is none."""
        with self.database.reading() as connection:
            versions = queries.list_versions(connection, bundle.manifest.project)
        return next((version for version in versions if version.digest == bundle.digest), None)

    def servable_versions(self, project: str) -> list[Version]:
        """Returns the approved versions whose bundles are kept, newest first. Raises UnknownError."""
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            return transitions.servable_versions(
                queries.list_versions(connection, project),
                queries.list_decisions(connection, project),
            )

    def live_versions(self, projects: Sequence[str]) -> dict[str, LiveVersion]:
        """Returns the production versions of these projects by one cheap query; projects without one are left out."""
        with self.database.reading() as connection:
            return queries.live_versions(connection, projects)

    def decisions(self, project: str | None = None) -> list[Decision]:
        """Returns the decisions of a project, or of all, project by project, oldest first. Raises UnknownError."""
        with self.database.reading() as connection:
            names = queries.project_names(connection, project)
            return [d for name in names for d in queries.list_decisions(connection, name)]

    def verify_decisions(self, project: str | None = None) -> list[str]:
        """Verifies the decisions, and versions against them; returns a line for each fault, none where all is well."""
        faults: list[str] = []
        with self.database.reading() as connection:
            for name in queries.project_names(connection, project):
                faults += find_faults(
                    queries.list_versions(connection, name),
                    queries.list_decisions(connection, name),
                )
        return faults

    def fetch(self, version: Version) -> Bundle:
        """Returns a version's bundle on this machine, with every file and its digest verified.

        Raises RegistryError where it was pruned, IntegrityError where it was altered, StorageError.
        """
        return self._bundles.open(version)

    def location(self, version: Version) -> str:
        """Returns where a version's bundle is, for people: a folder or a URL."""
        return self._bundles.location(version)

    def register(self, folder: Path, *, trained_by: str, job_id: str | None = None) -> Version:
        """Stores a copy of a sealed bundle as the next version of its project, and evaluates its gates.

        Registering the same job or the very same bundle again returns the existing version. Raises
        BundleError, IntegrityError; UnknownError for a project that was not declared; StorageError.
        """
        _require_storable(trained_by, job_id)
        bundle = Bundle.open(folder)
        project = bundle.manifest.project
        with self.database.reading() as connection:
            queries.get_declaration(connection, project)
            registered = queries.find_registered(connection, project, bundle.digest, job_id)
            production = queries.get_production(connection, project)
        if registered is not None:
            return registered
        evaluation = GateEvaluation.evaluate(bundle, production, self.fetch)
        version = Version(
            project=project,
            number=0,  # until it is inserted
            digest=bundle.digest,
            stage=Stage.CANDIDATE,
            created_at=time.time(),
            trained_by=trained_by,
            job_id=job_id,
            facts=_bundle_facts(bundle),
            gates=evaluation.gates,
            baseline_digest=evaluation.baseline_digest,
        )
        self.sweep()
        staged = self._bundles.stage(bundle)
        try:
            return self._insert(version, staged)
        finally:
            self._bundles.discard(staged)

    def _insert(self, version: Version, staged: str) -> Version:
        """Numbers a version, publishes its bundle and inserts its row, in this order.

        A crash before the commit leaves a folder that no version has, until the next `sweep`.
        """
        with self.database.writing() as connection:
            queries.get_declaration(connection, version.project, lock=True)
            registered = queries.find_registered(
                connection, version.project, version.digest, version.job_id
            )
            if registered is not None:
                return registered
            version = replace(version, number=queries.next_number(connection, version.project))
            self._bundles.publish(staged, version.project, version.number)
            queries.insert_version(connection, version)
        return version

    def apply_policy(self, version: Version) -> Version:
        """Approves a candidate whose gates passed, where the project's policy is automatic.

        Idempotent.
        A candidate that is older than production is left to a person.
        """
        policy = self.declaration(version.project).policy
        version = self.version(version.project, version.name)
        production = self.production(version.project)
        is_newest = production is None or production.number < version.number
        if policy == "automatic" and version.stage is Stage.CANDIDATE and is_newest:
            reason = DecisionReason(POLICY_ACTOR, "Every gate passed.")
            try:
                self._approve(version, reason, automatic=True)
            except RegistryError as error:  # a gate failed now, or somebody decided meanwhile
                _log.info("left to a person", extra={"version": version.name, "reason": str(error)})
        return self.version(version.project, version.name)

    def approve(self, project: str, name: str, *, actor: str, reason: str) -> Decision:
        """Puts a candidate in production; the version that was there is archived.

        Raises UnknownError; RegistryError where the transition is illegal, a gate did not pass, four eyes are
        required, or decisions are missing or changed; IntegrityError where the bundle was altered.
        """
        version = self.version(project, name)
        return self._approve(version, DecisionReason(actor, reason), automatic=False)

    def _approve(self, version: Version, reason: DecisionReason, *, automatic: bool) -> Decision:
        project, number = version.project, version.number
        for _ in range(_MAX_ATTEMPTS):
            evaluation = self._evaluate_gates(version, reason)
            with self.database.writing() as connection:
                declaration = queries.get_declaration(connection, project, lock=True)
                version = queries.get_version(connection, project, number)
                transitions.require_approvable(declaration, version, reason)
                production = queries.get_production(connection, project)
                if evaluation.baseline_digest != queries.digest_of(production):
                    continue  # production changed while the gates were evaluated
                version = queries.save_gates(
                    connection, version, evaluation.gates, evaluation.baseline_digest
                )
                blocking = version.unpassed_gates if automatic else version.failed_gates
                if not blocking:
                    return transitions.approve(connection, version, reason)
            # after the commit, so that the gate results are stored
            raise transitions.gate_refusal(version, blocking)
        raise RegistryError(
            f"{project} {version.name} was not approved: production changed {_MAX_ATTEMPTS} times meanwhile. Try again."
        )

    def _evaluate_gates(self, version: Version, reason: DecisionReason) -> GateEvaluation:
        """Evaluates the gates against the current production version; reuses stored results that still hold."""
        transitions.require_approvable(self.declaration(version.project), version, reason)
        bundle = self.fetch(version)
        production = self.production(version.project)
        stored = GateEvaluation.reuse(version, queries.digest_of(production))
        return stored or GateEvaluation.evaluate(bundle, production, self.fetch)

    def reject(self, project: str, name: str, *, actor: str, reason: str) -> Decision:
        """Rejects a candidate. Raises UnknownError; RegistryError as `approve`, without gates and four eyes."""
        decision_reason = DecisionReason(actor, reason)
        with self.database.writing() as connection:
            queries.get_declaration(connection, project, lock=True)
            version = queries.get_version(connection, project, parse_version_number(name))
            return transitions.reject(connection, version, decision_reason)

    def rollback(self, project: str, to: str | None = None, *, actor: str, reason: str) -> Decision:
        """Puts an archived version in production again; without `to`, the previous production version.

        Raises UnknownError; RegistryError for an illegal transition, where there is no previous version, or
        where decisions are missing or changed; IntegrityError where the bundle was altered.
        """
        decision_reason = DecisionReason(actor, reason)
        number = None if to is None else parse_version_number(to)
        for _ in range(_MAX_ATTEMPTS):
            with self.database.reading() as connection:
                queries.get_declaration(connection, project)
                version = transitions.rollback_target(connection, project, number)
            self.fetch(version)
            with self.database.writing() as connection:
                queries.get_declaration(connection, project, lock=True)
                if transitions.rollback_target(connection, project, number) == version:
                    return transitions.promote(
                        connection, version, Action.ROLLBACK, decision_reason
                    )
        raise RegistryError(
            f"{project} was not rolled back: production changed {_MAX_ATTEMPTS} times meanwhile. Try again."
        )

    def prune(self, project: str, keep: int) -> list[Version]:
        """Removes bundles of old versions, and returns those versions.

        Their rows stay.
        Keeps the `keep` newest, the `keep` newest that may still come to production, the production version
        and the one that a rollback returns to. Raises UnknownError.
        """
        if keep < 0:
            raise RegistryError(f"Cannot keep {counted(keep, 'version')}. Use 0 or more.")
        with self.database.writing() as connection:
            queries.get_declaration(connection, project, lock=True)
            versions = queries.list_versions(connection, project)
            decisions = queries.list_decisions(connection, project)
            pruned = [
                queries.mark_pruned(connection, version, time.time())
                for version in prunable_versions(versions, decisions, keep)
            ]
        for version in pruned:  # after the commit: a crash leaves folders that `sweep` removes
            self._bundles.delete(version)
        return pruned

    def sweep(self) -> None:
        """Cleans up after crashes: removes unfinished and pruned bundles, moves unregistered ones to the orphans.

        A failure is logged and left to the next sweep.
        """
        try:
            self._bundles.sweep()
            with self.database.reading() as connection:
                projects = queries.project_names(connection, None)
            for project in projects:
                self._sweep_project(project)
        except StorageError as error:
            _log.warning("registry not cleaned up", extra={"reason": str(error)})

    def _sweep_project(self, project: str) -> None:
        """Leaves a project the folders of its unpruned versions, and no other."""
        folders = self._bundles.version_numbers(project)
        with self.database.reading() as connection:
            versions = queries.list_versions(connection, project)
        for number in pruned_folders(folders, versions):
            self._bundles.remove(project, number)
        self._bundles.remove_registered_orphans(project, (version.digest for version in versions))
        if not unregistered_folders(folders, versions):
            return
        # under the lock nobody else is between publishing a folder and inserting its row
        with self.database.writing() as connection:
            queries.get_declaration(connection, project, lock=True)
            versions = queries.list_versions(connection, project)
            folders = self._bundles.version_numbers(project)
            for number in unregistered_folders(folders, versions):
                self._bundles.move_to_orphans(project, number)


def _require_storable(trained_by: str, job_id: str | None) -> None:
    """Raises RegistryError for a user name or a job id that no database can store."""
    if not (
        trained_by.strip() and trained_by.isprintable() and len(trained_by) <= _MAX_NAME_LENGTH
    ):
        raise RegistryError(
            f"Whoever trained a version needs a name of 1 to {_MAX_NAME_LENGTH} plain characters, not {trained_by!r}."
        )
    if job_id is not None and not (job_id.isprintable() and 0 < len(job_id) <= _MAX_JOB_ID_LENGTH):
        raise RegistryError(
            f"A job needs an id of 1 to {_MAX_JOB_ID_LENGTH} plain characters, not {job_id!r}."
        )


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """Returns what the registry reports of a bundle without opening it. Raises BundleError where it is not JSON."""
    manifest, checks = bundle.manifest, read_data_checks(bundle)
    facts = {
        "params": bundle.json("params.json") if "params.json" in manifest.files else {},
        "metrics": bundle.json("metrics.json") if "metrics.json" in manifest.files else {},
        "findings": [] if checks is None else checks.model_dump(mode="json")["findings"],
        "engine": manifest.engine.model_dump(mode="json"),
        "data_digest": manifest.data_digest,
        "source_digest": manifest.source_digest,
    }
    try:
        canonical_json(facts)
    except ValueError as error:
        raise BundleError(
            f"Bundle {bundle.path} has a description that is not valid JSON: {error}. Train it again."
        ) from error
    return facts
