"""The bundle that `windlass predict` scores with: what is in production, unless a version or a folder is named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.bundle_trust import BundleTrust
from windlass.core.project_spec import find_served_project
from windlass.errors import RegistryError, UnknownError
from windlass.registry.version import Stage
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
    return ScoredBundle(bundle, _warning(version))


def _of_folder(
    folder: Path, trust: BundleTrust, registry: "Registry | None" = None
) -> ScoredBundle:
    """Opens the bundle of a folder; where the registry has it too, under the name of its version."""
    if registry is None:
        return ScoredBundle(trust.open(folder, lambda _: False))
    bundle = trust.open(folder, lambda bundle: _is_approved(registry, bundle))
    version = _registered(registry, bundle)
    if version is None:
        return ScoredBundle(bundle)
    return ScoredBundle(replace(bundle, registered_version=version.name), _warning(version))


def _production(registry: "Registry", project: str) -> "Version":
    """Returns the version in production, by its decision. Raises RegistryError without one."""
    version = registry.production(project)
    if version is None:
        raise RegistryError(
            f"Project {project} has no version in production. Approve one, or name the version to predict with:"
            f" `windlass versions {project}` lists them."
        )
    return registry.approved_version(project, version.name)


def _registered(registry: "Registry", bundle: Bundle) -> "Version | None":
    """Returns the version that is this very bundle; None where the registry has none."""
    try:
        versions = registry.versions(bundle.manifest.project)
    except UnknownError:
        return None
    return next((version for version in versions if version.digest == bundle.digest), None)


def _is_approved(registry: "Registry", bundle: Bundle) -> bool:
    version = _registered(registry, bundle)
    if version is None:
        return False
    try:
        registry.approved_version(version.project, version.name)
    except RegistryError:
        return False
    return True


def _warning(version: "Version") -> str | None:
    """Returns what speaks against a version: its stage, and gates that did not pass; None in production."""
    if version.stage is Stage.PRODUCTION:
        return None
    gates = ", ".join(gate.rule for gate in version.unpassed_gates)
    failed = f", and did not pass {gates}" if gates else ""
    return f"{version.project} {version.name} is {version.stage_phrase}{failed}."
