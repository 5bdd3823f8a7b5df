"""Targets of `windlass serve`: resolves a path or a name to a bundle by itself or a project of the registry."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from windlass.core.bundle import MANIFEST, PROJECT_NAME, Bundle
from windlass.core.bundle_trust import BundleTrust
from windlass.core.feature_view import ViewRecord
from windlass.errors import ProjectError, RegistryError, SettingsError, StorageError, UnknownError
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.registry.registry import Registry


@dataclass(frozen=True)
class NamedVersion:
    """Version of a project, by the project's folder or name, that is served whatever the registry decides."""

    project: Path
    version: str


@dataclass(frozen=True)
class ServeTarget:
    """One project to serve: `bundle` by itself or, where that is None, the version that the registry decides on.

    `view` is the feature view that the registry had when the server was started. `session` is a new random text
    for each start of a server, and the same for all of its workers. `named` says how a version was named, and
    `warning` what speaks against it.
    """

    project: str
    bundle: Bundle | None = None
    view: ViewRecord | None = None
    session: str = field(default_factory=partial(token_hex, 8))
    named: NamedVersion | None = None
    warning: str | None = None

    @property
    def source(self) -> "Path | NamedVersion | ServeTarget":
        """What another process of the server resolves: a folder may hold another bundle by then."""
        if self.bundle is None:
            return self
        return self.bundle.path.absolute() if self.named is None else self.named


def resolve_targets(
    paths: Sequence[Path | str | NamedVersion | ServeTarget], settings: Settings
) -> list[ServeTarget]:
    """Returns the target of each path: a bundle, a project's folder, or a project's name in the registry.

    A ServeTarget is returned as it is. Raises BundleError; IntegrityError or SettingsError for a bundle that the
    settings do not trust; RegistryError for a bundle that was
    never approved, where the registry has its project; StorageError where the registry cannot be read; ProjectError
    where two targets are of one project.
    """
    registry, trust = _LazyRegistry(settings), BundleTrust.from_settings(settings)
    try:
        targets = [_resolve(path, registry, trust) for path in paths]
    finally:
        registry.close()
    require_distinct_projects([target.project for target in targets])
    return targets


def require_distinct_projects(names: Sequence[str]) -> None:
    """Raises ProjectError where a name comes twice."""
    for name in names:
        if names.count(name) > 1:
            raise ProjectError(
                f"Two of the paths are of project {name!r}, and a server serves one version of each project."
                " Name one of them."
            )


class _LazyRegistry:
    """The registry of these settings, opened when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: Registry | None = None
        self.exists = has_database(settings)

    def open(self) -> "Registry":
        """Returns the open registry. Raises StorageError."""
        if self._opened is None:
            from windlass.registry.registry import Registry

            self._opened = Registry.open(self._settings, must_exist=True)
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _resolve(
    path: Path | str | NamedVersion | ServeTarget, registry: _LazyRegistry, trust: BundleTrust
) -> ServeTarget:
    if isinstance(path, ServeTarget):
        return path
    if isinstance(path, NamedVersion):
        return _named_target(path, registry.open(), trust)
    return _path_target(Path(path), registry, trust)


def _named_target(named: NamedVersion, registry: "Registry", trust: BundleTrust) -> ServeTarget:
    """Returns a version by its name, in any stage. Raises UnknownError where there is none."""
    from windlass.core.project_spec import find_served_project

    project = find_served_project(registry.declarations(), named.project)
    if project is None:
        raise UnknownError(
            f"The registry has no project {named.project}, of which {named.version} could be served. Name the folder"
            " of a project that was trained."
        )
    version = registry.version(project, named.version)
    bundle = registry.fetch(version)
    trust.require(bundle)
    named = NamedVersion(Path(project), version.name)
    return ServeTarget(project, bundle, named=named, warning=version.warning)


def _path_target(path: Path, registry: _LazyRegistry, trust: BundleTrust) -> ServeTarget:
    if registry.exists and not (path / MANIFEST).is_file():
        target = _registry_target(path, registry)
        if target is not None:
            _require_no_digest(target, trust)
            return target
    bundle = trust.open(
        path, lambda bundle: registry.exists and _require_approved(bundle, registry)
    )
    version = registry.open().version_of(bundle) if registry.exists else None
    if version is not None:
        bundle = replace(bundle, registered_version=version.name)
    return ServeTarget(bundle.manifest.project, bundle)


def _registry_target(path: Path, registry: _LazyRegistry) -> ServeTarget | None:
    """Returns the project of the registry that has this folder or name; None where there is none.

    Where the registry cannot be reached, a name is taken as it is: the server starts, and asks again later.
    """
    from windlass.core.project_spec import find_served_project

    try:
        declarations = registry.open().declarations()
    except StorageError:
        if path.exists() or not re.fullmatch(PROJECT_NAME, str(path)):
            raise
        return ServeTarget(str(path))
    project = find_served_project(declarations, path)
    views = {declaration.name: declaration.view for declaration in declarations}
    return None if project is None else ServeTarget(project, view=views[project])


def _require_no_digest(target: ServeTarget, trust: BundleTrust) -> None:
    if trust.digests:
        raise SettingsError(
            f"--digest (WINDLASS_DIGEST) holds bundles that are named by path, and the registry decides which version"
            f" of {target.project} is served. Name the bundle's folder, or leave the digest out."
        )


def _require_approved(bundle: Bundle, registry: _LazyRegistry) -> bool:
    """Returns whether a decision names this bundle; False where the registry does not have its project.

    Raises RegistryError where it has the project, but this very bundle is not approved there.
    """
    project = bundle.manifest.project
    version = registry.open().version_of(bundle)
    if version is not None:
        try:
            registry.open().approved_version(project, version.name)
        except RegistryError as error:
            raise RegistryError(
                f"The bundle at {bundle.path} is not served. {error}"
                f' Approve it with `windlass approve {project} {version.name} --reason "…"`,'
                f" or serve it by its name: `windlass serve {project} {version.name}`."
            ) from error
        return True
    if project not in {declaration.name for declaration in registry.open().declarations()}:
        return False
    raise RegistryError(
        f"The bundle at {bundle.path} is not served: the registry knows the project {project!r}, and this is none of"
        " its versions. Train it with `windlass train`, have it approved, and serve the project by its name;"
        " or use another WINDLASS_HOME for a bundle by itself."
    )


class ServiceRole(StrEnum):
    """The one service that a server is limited to: features or predictions."""

    FEATURES = "features"
    PREDICT = "predict"
