"""Resolves the project that a call about features works on, and its feature view."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec, find_project
from windlass.errors import FeatureError, StorageError
from windlass.settings import Settings
from windlass.storage.urls import has_database
from windlass.workflows.project_lookup import open_registry


@dataclass(frozen=True)
class DeclaredView:
    """Name and view of a project that declares a feature view."""

    name: str
    view: ViewRecord


def require_view(project: Project) -> FeatureView:
    """Returns the view of a project. Raises FeatureError where it declares none."""
    if project.view is None:
        raise _no_view_error(project.name)
    return project.view


def resolve_view(settings: Settings, target: Path, warn: Callable[[str], None]) -> DeclaredView:
    """Returns the view of the project whose folder or name `target` is, as it was declared last.

    `warn` is called with a line where the registry cannot be reached, and the folder's declaration counts.
    Loads the project's code only where the registry has no declaration of it, or fails. Raises ProjectError,
    FeatureError; StorageError where the registry fails and `target` is not a folder.
    """
    declaration = _find_declaration_if_reachable(
        settings, target, warn
    ) or ProjectSpec.from_project(*load_project(target))
    if declaration.view is None:
        raise _no_view_error(declaration.name)
    return DeclaredView(declaration.name, declaration.view)


def _find_declaration_if_reachable(
    settings: Settings, target: Path, warn: Callable[[str], None]
) -> ProjectSpec | None:
    """Returns the registry's declaration; None, with a warning, where its database fails and there is a folder."""
    try:
        return _find_declaration(settings, target)
    except StorageError as error:
        if not (target / "project.py").is_file():
            raise StorageError(f"{error} Or name the project's folder.") from error
        warn(f"going on with what {target / 'project.py'} declares. {error}")
        return None


def _find_declaration(settings: Settings, target: Path) -> ProjectSpec | None:
    if not has_database(settings):
        return None
    with open_registry(settings) as registry:
        declarations = registry.declarations()
    name = find_project(declarations, target)
    return next((each for each in declarations if each.name == name), None)


def _no_view_error(name: str) -> FeatureError:
    return FeatureError(
        f"Project {name} declares no feature view. Give its Project(…) one: view=FeatureView(…)."
    )
