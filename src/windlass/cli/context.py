"""Resolves what a command works on: the registry, the project, its version or bundle, the actor of a decision."""

import os
import pwd
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass.auth.key import RESERVED_NAMES, Role, hash_secret
from windlass.cli.console import fail_usage
from windlass.core.bundle import MANIFEST, Bundle, find_bundle_folder
from windlass.core.project_loader import load_project
from windlass.core.project_spec import find_folder, find_project
from windlass.errors import AccessError, UnknownError
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version

_VERSION = re.compile(r"v[1-9][0-9]*")


@contextmanager
def open_registry(settings: Settings | None = None, *, make: bool = False) -> Iterator["Registry"]:
    """Opens the registry of the settings (by default the environment's) and closes it at the end.

    Raises StorageError where it does not exist yet and `make` is false.
    """
    from windlass.registry.registry import Registry

    opened = Registry.open(settings or Settings.read(), must_exist=not make)
    with closing(opened) as registry:
        yield registry


def current_user() -> str:
    """Returns the name of this process's user from the system's user database.

    Not from LOGNAME or USER, which anybody may set: an approver could pretend to be somebody else.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        return f"uid-{number}"
    return f"user-{name}" if name in RESERVED_NAMES else name


def resolve_project(registry: "Registry", target: Path) -> str:
    """Returns the name of the project whose folder or name `target` is. Raises UnknownError."""
    project = find_project(registry.declarations(), target)
    if project is not None:
        return project
    if (target / "project.py").is_file():  # a folder that was moved since
        name = load_project(target)[0].name
        if name in {declaration.name for declaration in registry.declarations()}:
            return name
        raise UnknownError(
            f"Project {name!r} has no versions yet. Train one with `windlass train {target}`."
        )
    raise UnknownError(
        f"There is no project at {target}, and none of that name in the registry. Name the folder of a project."
    )


def resolve_folder(target: Path, settings: Settings | None = None) -> Path:
    """Returns the folder of the project whose folder or name `target` is; of an unknown one the path as it is."""
    if target == Path() or (target / "project.py").is_file():
        return target
    settings = settings or Settings.read()
    if not has_database(settings):
        return target
    with open_registry(settings) as registry:
        return find_folder(registry.declarations(), target)


def split_arguments(
    arguments: Sequence[str] | None, usage: str, *, max_versions: int = 1
) -> tuple[Path, list[str]]:
    """Returns the project among `arguments` (by default the current folder) and the names of versions.

    What looks like `v2` is a version; a folder of such a name is `./v2`. Exits with code 2 for two projects, or
    for more than `max_versions` versions.
    """
    given = list(arguments or ())
    versions = [argument for argument in given if _VERSION.fullmatch(argument)]
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
    raise UnknownError(f"Project {project} has no {kind}. See `windlass versions {project}`.")


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
    if versions:
        return _registered_bundle(target, versions[0])
    if not (target / MANIFEST).is_file() and has_database(Settings.read()):
        reference = _default_bundle(target)
        if reference is not None:
            return reference
    bundle = Bundle.open(find_bundle_folder(target))
    return BundleReference(bundle, target if (target / "project.py").is_file() else None)


def _registered_bundle(target: Path, name: str) -> BundleReference:
    with open_registry() as registry:
        project = resolve_project(registry, target)
        version = registry.version(project, name)
        folder = Path(registry.declaration(project).folder)
        return BundleReference(registry.fetch(version), folder)


def _default_bundle(target: Path) -> BundleReference | None:
    with open_registry() as registry:
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


def decision_actor(registry: "Registry", key: str | None) -> str:
    """Returns the actor of a decision: the key's name, or the user's name without a key.

    Raises AccessError for a key that the registry's database does not have, or without the role `approve`.
    """
    if key is None:
        return current_user()
    from windlass.auth.key_store import KeyStore

    api_key = KeyStore(registry.database).active_keys().get(hash_secret(key.encode()))
    if api_key is None:
        raise AccessError(
            "The key given is unknown here, or revoked. Check --key or WINDLASS_KEY, and that WINDLASS_HOME or"
            " WINDLASS_DATABASE_URL names the registry that it was made for: `windlass keys list`."
        )
    if not api_key.role.includes(Role.APPROVE):
        raise AccessError(
            f"The key {api_key.name} has the role {api_key.role.value}, and a decision needs {Role.APPROVE.value}."
            f" Make one: windlass keys create --name NAME --role {Role.APPROVE.value}"
        )
    return api_key.name


def require_spark_engine(engine: str | None, master: str | None) -> None:
    """Exits with code 2 where a Spark cluster is named but the engine is another."""
    if master is not None and engine != "spark":
        fail_usage("--master is of a Spark cluster. Add --engine spark, or leave it out.")
