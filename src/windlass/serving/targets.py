"""What a path or a name on the command line stands for: a bundle by itself, or a project of the registry."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from windlass.core.bundle import MANIFEST, PROJECT_NAME, Bundle, find_bundle_folder
from windlass.core.feature_view import ViewRecord
from windlass.errors import ProjectError, RegistryError, StorageError, UnknownError
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.registry.registry import Registry


@dataclass(frozen=True)
class ServeTarget:
    """What one project of a server is: `bundle` by itself; where that is None, what the registry decides.

    `view` is the feature view that the registry has declared of it when the server is started.
    `session` is another each time that a server is started, and the same for all of its workers.
    """

    project: str
    bundle: Bundle | None = None
    view: ViewRecord | None = None
    session: str = field(default_factory=partial(token_hex, 8))


def subjects(paths: Sequence[Path | str | ServeTarget], settings: Settings) -> list[ServeTarget]:
    """What these paths stand for, each a bundle, a project's folder, or a project's name in the registry.

    A Subject stands for itself.

    Raises BundleError, IntegrityError; RegistryError for a bundle that was never approved where the
    registry knows its project; StorageError where that cannot be asked; ProjectError where two are of
    one project.
    """
    registry = _Registry(settings)
    try:
        found = [
            path if isinstance(path, ServeTarget) else _subject(Path(path), registry)
            for path in paths
        ]
    finally:
        registry.close()
    refuse_twins([subject.project for subject in found])
    return found


def refuse_twins(names: Sequence[str]) -> None:
    """Raise ProjectError where two of what is served are of one project."""
    for name in names:
        if names.count(name) > 1:
            raise ProjectError(
                f"Two of the bundles are of project {name!r}, and its routes can lead to one only."
                " Name one of them."
            )


class _Registry:
    """The registry of these settings, opened only where there is one and it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: Registry | None = None
        self.exists = has_database(settings)

    def open(self) -> "Registry":
        """Raises StorageError."""
        if self._opened is None:
            from windlass.registry.registry import Registry

            self._opened = Registry.open(self._settings, must_exist=True)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _subject(path: Path, registry: _Registry) -> ServeTarget:
    if registry.exists and not (path / MANIFEST).is_file():
        found = _followed(path, registry)
        if found is not None:
            return found
    bundle = Bundle.open(find_bundle_folder(path))
    if registry.exists:
        _refuse_unapproved(bundle, registry)
    return ServeTarget(bundle.manifest.project, bundle)


def _followed(path: Path, registry: _Registry) -> ServeTarget | None:
    """The project of the registry that a folder or a name stands for.

    Where the registry is away, a name stands for itself: the server starts, and goes on asking.
    """
    from windlass.core.project_spec import find_project

    try:
        declarations = registry.open().declarations()
    except StorageError:
        if path.exists() or not re.fullmatch(PROJECT_NAME, str(path)):
            raise
        return ServeTarget(str(path))
    project = find_project(declarations, path)
    views = {one.name: one.view for one in declarations}
    return None if project is None else ServeTarget(project, view=views[project])


def _refuse_unapproved(bundle: Bundle, registry: _Registry) -> None:
    """Of a project that the registry knows only what was approved: a version altered by a byte is none."""
    project = bundle.manifest.project
    try:
        versions = registry.open().versions(project)
    except UnknownError:
        return
    for version in versions:
        if version.digest == bundle.digest:
            try:
                registry.open().approved_version(project, version.name)
            except RegistryError as error:
                raise RegistryError(
                    f"The bundle at {bundle.path} is not served. {error}"
                    f' Approve it with `windlass approve {project} {version.name} --reason "…"`.'
                ) from error
            return
    raise RegistryError(
        f"The bundle at {bundle.path} is not served: the registry knows the project {project!r}, and this is none of"
        " its versions. Train it with `windlass train`, have it approved, and serve the project by its name;"
        " or use another WINDLASS_HOME for a bundle by itself."
    )


class ServiceRole(StrEnum):
    """What a server is to answer alone: features, or predictions."""

    FEATURES = "features"
    PREDICT = "predict"
