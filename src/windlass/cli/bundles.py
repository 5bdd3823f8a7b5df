"""Resolves the bundle that a command works on: a folder, a registered version, or a project's production version."""

from dataclasses import dataclass
from pathlib import Path

from windlass.cli.context import open_registry, resolve_project
from windlass.core.bundle import MANIFEST, Bundle, find_bundle_folder
from windlass.settings import Settings
from windlass.storage.urls import has_database


@dataclass(frozen=True)
class BundleReference:
    """Verified bundle, and the folder of its project where that is known."""

    bundle: Bundle
    project: Path | None


def resolve_bundle(target: Path, versions: list[str]) -> BundleReference:
    """Opens the bundle in folder `target`; of a project the named version, or production's, or its artifacts.

    Raises BundleError, UnknownError, IntegrityError or StorageError.
    """
    if versions:
        return _registered_bundle(target, versions[0])
    if not (target / MANIFEST).is_file() and has_database(Settings.read()):
        production = _production_bundle(target)
        if production is not None:
            return production
    bundle = Bundle.open(find_bundle_folder(target))
    return BundleReference(bundle, target if (target / "project.py").is_file() else None)


def _registered_bundle(target: Path, name: str) -> BundleReference:
    with open_registry() as registry:
        project = resolve_project(registry, target)
        version = registry.version(project, name)
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)


def _production_bundle(target: Path) -> BundleReference | None:
    from windlass.core.project_spec import find_project

    with open_registry() as registry:
        project = find_project(registry.declarations(), target)
        version = None if project is None else registry.production(project)
        if project is None or version is None:
            return None
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)
