"""The bundle that `windlass predict` scores with: what is in production, unless a version or a folder is named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.bundle_trust import BundleTrust
from windlass.core.project_spec import find_served_project
from windlass.errors import RegistryError
from windlass.settings import Settings
from windlass.storage.urls import has_database
from windlass.workflows.project_lookup import open_registry, resolve_project

if TYPE_CHECKING:
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version


@dataclass(frozen=True)
class ScoredBundle:
    """Verified bundle, named as the registry names it. `warning` says what speaks against its version."""

    bundle: Bundle
    warning: str | None = None


def resolve_scored_bundle(target: Path, names: Sequence[str], trust: BundleTrust) -> ScoredBundle:
    """Opens the bundle to score with: the named version of a project, or the one in production.

    `target` may also be the folder of a bundle, or of a project that the registry does not know, whose
    `artifacts` then holds the bundle. Raises BundleError; RegistryError where no version is named and none is
    in production; IntegrityError or SettingsError for a bundle that is not trusted; StorageError.
    """
    settings = Settings.read(near=[target])
    if names:
        with open_registry(settings) as registry:
            version = registry.version(resolve_project(registry, target), names[0])
            return _of_version(registry, version, trust)
    if not has_database(settings):
        return _of_folder(target, trust)
    with open_registry(settings) as registry:
        is_bundle = (target / MANIFEST).is_file()
        project = None if is_bundle else find_served_project(registry.declarations(), target)
        if project is None:
            return _of_folder(target, trust, registry)
        return _of_version(registry, _production(registry, project), trust)


def _of_version(registry: "Registry", version: "Version", trust: BundleTrust) -> ScoredBundle:
    bundle = registry.fetch(version)
    trust.require(bundle)
    return ScoredBundle(bundle, version.warning)


def _of_folder(
    folder: Path, trust: BundleTrust, registry: "Registry | None" = None
) -> ScoredBundle:
    """Opens the bundle of a folder; where the registry has it too, under the name of its version."""
    bundle = trust.open(
        folder, lambda bundle: registry is not None and _is_approved(registry, bundle)
    )
    version = None if registry is None else registry.version_of(bundle)
    if version is not None:
        return ScoredBundle(replace(bundle, registered_version=version.name), version.warning)
    if bundle.path == folder:
        return ScoredBundle(bundle)
    return ScoredBundle(
        bundle,
        f"{bundle.manifest.project} is not in the registry. The bundle in {bundle.path} predicts, an experiment that"
        f" nobody approved. Register a version with `windlass train {folder}`.",
    )


def _production(registry: "Registry", project: str) -> "Version":
    """Returns the version in production, by its decision. Raises RegistryError without one."""
    version = registry.production(project)
    if version is None:
        raise RegistryError(
            f"Project {project} has no version in production. Approve one, or name the version to predict with:"
            f" `windlass versions {project}` lists them."
        )
    return registry.approved_version(project, version.name)


def _is_approved(registry: "Registry", bundle: Bundle) -> bool:
    version = registry.version_of(bundle)
    if version is None:
        return False
    try:
        registry.approved_version(version.project, version.name)
    except RegistryError:
        return False
    return True
