"""Resolves what a command works on: the registry, the project, its version or bundle, the actor of a decision."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.cli.console import fail_usage
from windlass.core.bundle import MANIFEST, Bundle, find_bundle_folder
from windlass.core.project_spec import find_project
from windlass.errors import UnknownError
from windlass.settings import Settings
from windlass.storage.urls import has_database
from windlass.workflows.project_lookup import open_registry, resolve_project

if TYPE_CHECKING:
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version

_VERSION = re.compile(r"v[1-9][0-9]*")


def is_version(argument: str) -> bool:
    """Returns whether an argument names a version; a folder of such a name is `./v2`."""
    return _VERSION.fullmatch(argument) is not None


def split_arguments(
    arguments: Sequence[str] | None, usage: str, *, max_versions: int = 1
) -> tuple[Path, list[str]]:
    """Returns the project among `arguments` (by default the current folder) and the names of versions.

    What looks like `v2` is a version; a folder of such a name is `./v2`. Exits with code 2 for two projects, or
    for more than `max_versions` versions.
    """
    given = list(arguments or ())
    versions = [argument for argument in given if is_version(argument)]
    targets = [argument for argument in given if argument not in versions]
    if len(targets) == 2 and len(versions) < max_versions:
        fail_usage(f"{targets[1]!r} is not a version; versions are written v1, v2, …. Use: {usage}")
    if len(targets) > 1 or len(versions) > max_versions:
        fail_usage(f"Too many arguments. Use: {usage}")
    return Path(targets[0] if targets else "."), versions


def select_version(
    registry: "Registry",
    project: str,
    names: Sequence[str],
    fits: Callable[["Version"], bool],
    kind: str,
) -> "Version":
    """Returns the version of that name; without a name the newest that `fits`. Raises UnknownError."""
    if names:
        return registry.version(project, names[0])
    for version in registry.versions(project):
        if fits(version):
            return version
    live = registry.production(project)
    in_production = "" if live is None else f" {live.name} is in production."
    raise UnknownError(
        f"Project {project} has no {kind}.{in_production} See `windlass versions {project}`."
    )


def project_parameter(kind: Callable[..., Any]) -> Any:
    """Returns the argument or the option, as `kind` of Typer makes it, that names a project."""
    help_ = "Folder or name of the project."
    return kind(metavar="PROJECT", help=help_, show_default="the current folder")


def version_argument(default: str) -> Any:
    """Returns the argument that names a project and a version, whose default is described."""
    help_ = "Project, by default the current folder, and its version."
    return typer.Argument(metavar="[PROJECT] [VERSION]", help=help_, show_default=default)


ProjectArgument = Annotated[Path, project_parameter(typer.Argument)]


def _bundle_argument(default: str) -> Any:
    """Returns the argument that names a bundle, or a project and a version, whose default is described."""
    help_ = "Bundle or project, by default the current folder, and a version of the project."
    return typer.Argument(metavar="[BUNDLE or PROJECT] [VERSION]", help=help_, show_default=default)


BundleOrProject = Annotated[
    list[str] | None,
    _bundle_argument("the version in production, otherwise the newest"),
]
ScoredVersion = Annotated[list[str] | None, _bundle_argument("the version in production")]


AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Unpickle a bundle that is named by path.")
]


@dataclass(frozen=True)
class BundleReference:
    """Verified bundle, and the folder of its project where that is known."""

    bundle: Bundle
    project: Path | None


def resolve_bundle(target: Path, versions: list[str]) -> BundleReference:
    """Opens the bundle in folder `target`; of a project the named version.

    Without a name that is the version in production, or else the newest one; of a project that the registry does not
    know, the bundle in the folder's `artifacts`.

    Raises BundleError, UnknownError, IntegrityError or StorageError.
    """
    settings = Settings.read(near=[target])
    if versions:
        return _registered_bundle(target, versions[0], settings)
    if not (target / MANIFEST).is_file() and has_database(settings):
        reference = _default_bundle(target, settings)
        if reference is not None:
            return reference
    bundle = Bundle.open(find_bundle_folder(target))
    return BundleReference(bundle, target if (target / "project.py").is_file() else None)


def _registered_bundle(target: Path, name: str, settings: Settings) -> BundleReference:
    with open_registry(settings) as registry:
        project = resolve_project(registry, target)
        version = registry.version(project, name)
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)


def _default_bundle(target: Path, settings: Settings) -> BundleReference | None:
    with open_registry(settings) as registry:
        project = find_project(registry.declarations(), target)
        if project is None:
            return None
        version = registry.production(project)
        if version is None:
            stored = (each for each in registry.versions(project) if each.pruned_at is None)
            version = next(stored, None)
        if version is None:
            return None
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)


Master = Annotated[
    str | None, typer.Option(metavar="URL", help="URL of the Spark cluster: spark://HOST:PORT.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Key of whoever decides. Better set WINDLASS_KEY, which process lists do not show.",
    ),
]


def require_spark_engine(engine: str | None, master: str | None) -> None:
    """Exits with code 2 where a Spark cluster is named but the engine is another."""
    if master is not None and engine != "spark":
        fail_usage("--master is of a Spark cluster. Add --engine spark, or leave it out.")
