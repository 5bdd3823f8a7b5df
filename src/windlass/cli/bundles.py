"""Which bundle a command means: a folder, a version of the registry, or what a project has in production."""

from dataclasses import dataclass
from pathlib import Path

from windlass.cli.context import opened, project_of
from windlass.core.bundle import MANIFEST, Bundle, find_bundle_folder
from windlass.settings import Settings
from windlass.storage.urls import has_database


@dataclass(frozen=True)
class BundleReference:
    """A verified bundle, and the folder of its project where that is known."""

    bundle: Bundle
    project: Path | None


def named_bundle(place: Path, versions: list[str]) -> BundleReference:
    """The bundle in folder `place`; of a project the version named, else production's, else its artifacts.

    Raises BundleError, UnknownError, IntegrityError or StorageError.
    """
    if versions:
        return _of_registry(place, versions[0])
    if not (place / MANIFEST).is_file() and has_database(Settings.read()):
        found = _in_production(place)
        if found is not None:
            return found
    bundle = Bundle.open(find_bundle_folder(place))
    return BundleReference(bundle, place if (place / "project.py").is_file() else None)


def _of_registry(place: Path, name: str) -> BundleReference:
    with opened() as registry:
        project = project_of(registry, place)
        version = registry.version(project, name)
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)


def _in_production(place: Path) -> BundleReference | None:
    from windlass.core.project_spec import find_project

    with opened() as registry:
        project = find_project(registry.declarations(), place)
        version = None if project is None else registry.production(project)
        if project is None or version is None:
            return None
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)
