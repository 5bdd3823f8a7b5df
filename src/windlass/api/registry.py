"""`windlass.registry`: versions of one project, comparisons, and decisions by the rules of the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.api.model import version_name
from windlass.api.version import Version, VersionComparison, Versions, compare_versions
from windlass.core.display import html_table
from windlass.errors import UnknownError
from windlass.registry.version import Stage
from windlass.settings import Settings
from windlass.workflows.project_lookup import (
    decision_actor,
    open_registry,
    resolve_project,
    settings_near,
)

if TYPE_CHECKING:
    from windlass.registry.decisions import Decision
    from windlass.registry.registry import Registry


def registry(project: str | Path = ".", *, key: str | None = None) -> "ProjectRegistry":
    """Returns the registry of one project.

    Args:
        project: Name or folder of the project.
        key: API key of whoever decides, with the role `approve`. Default: WINDLASS_KEY; without any, this machine's
            user decides.

    Raises:
        UnknownError: The registry has no such project.
        StorageError: There is no registry, or it cannot be used.
    """
    settings = settings_near(Path(project))
    with open_registry(settings) as opened:
        name = resolve_project(opened, Path(project))
    return ProjectRegistry(name, settings, settings.key if key is None else key)


class ProjectRegistry:
    """Registry of one project: its versions and decisions.

    Every call opens the database and closes it again, so nothing is left open. Every method raises StorageError where
    database or bundle store cannot be used, and UnknownError for a version that does not exist.
    """

    def __init__(self, project: str, settings: Settings, key: str | None) -> None:
        self.project = project
        self._settings = settings
        self._key = key

    def versions(self) -> Versions:
        """Returns all versions, newest first."""
        with open_registry(self._settings) as opened:
            records = opened.versions(self.project)
        return Versions(Version(record, self._settings) for record in records)

    def version(self, version: str | int) -> Version:
        """Returns a version by name or number: `"v3"` or 3."""
        with open_registry(self._settings) as opened:
            record = opened.version(self.project, version_name(version))
        return Version(record, self._settings)

    @property
    def production(self) -> Version | None:
        """The version in production; None without one."""
        with open_registry(self._settings) as opened:
            record = opened.production(self.project)
        return None if record is None else Version(record, self._settings)

    def compare(self, first: str | int, second: str | int) -> VersionComparison:
        """Compares two versions on the rows that neither was trained on, with confidence intervals.

        Raises RegistryError where a bundle was pruned, IntegrityError where one was altered.
        """
        names = version_name(first), version_name(second)
        return compare_versions(self._settings, self.project, *names)

    def approve(self, version: str | int | None = None, *, reason: str) -> "Decision":
        """Puts a candidate in production; by default the newest.

        Raises RegistryError where it is not a candidate, a gate fails or the project needs four eyes; AccessError
        where the key is unknown or lacks the role.
        """
        with self._deciding() as (opened, actor):
            name = self._candidate(opened, version)
            return opened.approve(self.project, name, actor=actor, reason=reason)

    def reject(self, version: str | int | None = None, *, reason: str) -> "Decision":
        """Rejects a candidate for good; by default the newest. Raises as `approve`."""
        with self._deciding() as (opened, actor):
            name = self._candidate(opened, version)
            return opened.reject(self.project, name, actor=actor, reason=reason)

    def rollback(self, to: str | int | None = None, *, reason: str) -> "Decision":
        """Returns to a version that was in production; by default the one before.

        Raises RegistryError where there is none, or decisions were changed; IntegrityError where its bundle was
        altered; AccessError as `approve`.
        """
        with self._deciding() as (opened, actor):
            name = None if to is None else version_name(to)
            return opened.rollback(self.project, name, actor=actor, reason=reason)

    def decisions(self) -> "Decisions":
        """Returns all decisions, oldest first."""
        with open_registry(self._settings) as opened:
            return Decisions(opened.decisions(self.project))

    def verify_decisions(self) -> list[str]:
        """Verifies the hash chain of decisions, and the stages against it; returns a line for each fault, else none."""
        with open_registry(self._settings) as opened:
            return opened.verify_decisions(self.project)

    @contextmanager
    def _deciding(self) -> "Iterator[tuple[Registry, str]]":
        with open_registry(self._settings) as opened:
            yield opened, decision_actor(opened, self._key)

    def _candidate(self, opened: "Registry", version: str | int | None) -> str:
        if version is not None:
            return version_name(version)
        for record in opened.versions(self.project):
            if record.stage is Stage.CANDIDATE:
                return record.name
        raise UnknownError(
            f"Project {self.project} has no candidate. Train one, or name a version."
        )

    def __repr__(self) -> str:
        return f"<ProjectRegistry {self.project}>"

    def _repr_html_(self) -> str:
        return self.versions()._repr_html_()


class Decisions(list["Decision"]):
    """Decisions of a project, oldest first; a table in a notebook."""

    def _repr_html_(self) -> str:
        from windlass.core.display import format_time, utc_time

        header = ("no.", "when", "who", "action", "version", "digest", "why")
        rows = [
            (
                decision.sequence,
                format_time(utc_time(decision.decided_at)),
                decision.actor,
                decision.action.value,
                decision.version,
                decision.digest[:12],
                decision.reason,
            )
            for decision in self
        ]
        return html_table(header, rows)
