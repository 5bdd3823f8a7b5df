"""What the commands about features share: the project that is meant, and its view."""

from dataclasses import dataclass
from pathlib import Path

from windlass.cli.console import say_error
from windlass.cli.context import opened
from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import FeatureError, StorageError
from windlass.settings import Settings
from windlass.storage.urls import has_database


@dataclass(frozen=True)
class DeclaredView:
    """A project that has a view, as it was declared."""

    name: str
    view: ViewRecord


def with_view(project: Project) -> FeatureView:
    """The view of a project. Raises FeatureError where it declares none."""
    if project.view is None:
        raise _viewless(project.name)
    return project.view


def folder_of(settings: Settings, place: Path) -> Path:
    """The folder of the project that `place` is the folder or the name of."""
    known = None if (place / "project.py").is_file() else _known(settings, place)
    return place if known is None else Path(known.folder)


def declared(settings: Settings, place: Path) -> DeclaredView:
    """The project that `place` is the folder or the name of, as it was declared last.

    Its code runs only where the registry does not know it, or fails. Raises ProjectError, FeatureError; StorageError
    where the registry fails and `place` is no folder.
    """
    declaration = _known_if_reached(settings, place) or ProjectSpec.from_project(
        *load_project(place)
    )
    if declaration.view is None:
        raise _viewless(declaration.name)
    return DeclaredView(declaration.name, declaration.view)


def _known_if_reached(settings: Settings, place: Path) -> ProjectSpec | None:
    """What the registry knows; without its database the project's own folder does."""
    try:
        return _known(settings, place)
    except StorageError as error:
        if not (place / "project.py").is_file():
            raise StorageError(f"{error} Or name the project's folder.") from error
        say_error(f"warning: going on with what {place / 'project.py'} declares. {error}")
        return None


def _known(settings: Settings, place: Path) -> ProjectSpec | None:
    from windlass.core.project_spec import find_project

    if not has_database(settings):
        return None
    with opened(settings) as registry:
        declarations = registry.declarations()
    name = find_project(declarations, place)
    return next((one for one in declarations if one.name == name), None)


def _viewless(name: str) -> FeatureError:
    return FeatureError(
        f"Project {name} declares no feature view. Give its Project(…) one: view=FeatureView(…)."
    )
