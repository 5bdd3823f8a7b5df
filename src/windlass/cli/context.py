"""What commands about the registry share: the registry itself, the project and version meant, the actor."""

import os
import pwd
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass.auth.key import RESERVED_NAMES, Role, hash_secret
from windlass.cli.console import say_usage
from windlass.core.project_loader import load_project
from windlass.errors import AccessError, UnknownError
from windlass.settings import Settings

if TYPE_CHECKING:
    from windlass.registry.registry import Registry
    from windlass.registry.version import Version

_VERSION = re.compile(r"v[1-9][0-9]*")


@contextmanager
def opened(settings: Settings | None = None, *, make: bool = False) -> Iterator["Registry"]:
    """The registry of the settings, the environment's where none are given; closed afterwards.

    Raises StorageError where nobody made one yet, unless this is who shall `make` it.
    """
    from windlass.registry.registry import Registry

    registry = Registry.open(settings or Settings.read(), must_exist=not make)
    try:
        yield registry
    finally:
        registry.close()


def actor() -> str:
    """Who decides: the name of this process's user, as the system's table of users has it.

    Not LOGNAME or USER, which anybody may set: an approver would be whoever they say they are.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        return f"uid-{number}"
    return f"user-{name}" if name in RESERVED_NAMES else name


def project_of(registry: "Registry", place: Path) -> str:
    """The project that `place` is the folder or the name of. Raises UnknownError."""
    from windlass.core.project_spec import find_project

    found = find_project(registry.declarations(), place)
    if found is not None:
        return found
    if (place / "project.py").is_file():  # a folder that was moved since
        name = load_project(place)[0].name
        if name in {declaration.name for declaration in registry.declarations()}:
            return name
        raise UnknownError(
            f"Project {name!r} has no versions yet. Train one with `windlass train {place}`."
        )
    raise UnknownError(
        f"There is no project at {place}, and none of that name in the registry. Name the folder of a project."
    )


def split_arguments(
    arguments: Sequence[str] | None, *, most: int, usage: str
) -> tuple[Path, list[str]]:
    """The project among `arguments` (the current folder where none is) and the versions, `most` at most.

    What looks like `v2` is a version; a folder of such a name is `./v2`. Ends with exit code 2 for more.
    """
    given = list(arguments or ())
    versions = [argument for argument in given if _VERSION.fullmatch(argument)]
    places = [argument for argument in given if argument not in versions]
    if len(places) > 1 or len(versions) > most:
        say_usage(f"Too many arguments. Use: {usage}")
    return Path(places[0] if places else "."), versions


def chosen(
    registry: "Registry",
    project: str,
    names: Sequence[str],
    fits: Callable[["Version"], bool],
    kind: str,
) -> "Version":
    """The version of that name; without one the newest that `fits`. Raises UnknownError."""
    if names:
        return registry.version(project, names[0])
    for version in registry.versions(project):
        if fits(version):
            return version
    raise UnknownError(f"Project {project} has no {kind}. See `windlass versions {project}`.")


Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Decide as this key's holder; WINDLASS_KEY, which no list of processes shows, does the same.",
    ),
]


def decider(registry: "Registry", key: str | None) -> str:
    """The name that a decision bears: the key's, which has to reach the role `approve`, else the user's.

    Raises AccessError for a key that the registry's database does not hold, or that may not decide.
    """
    if key is None:
        return actor()
    from windlass.auth.key_store import KeyStore

    found = KeyStore(registry.database).active_keys().get(hash_secret(key.encode()))
    if found is None:
        raise AccessError(
            "The key given is unknown here, or revoked. Check --key or WINDLASS_KEY, and that WINDLASS_HOME or"
            " WINDLASS_DATABASE_URL names the registry that it was made for: `windlass keys list`."
        )
    if not found.role.includes(Role.APPROVE):
        raise AccessError(
            f"The key {found.name} has the role {found.role.value}, and a decision needs {Role.APPROVE.value}."
            f" Make one: windlass keys create --name NAME --role {Role.APPROVE.value}"
        )
    return found.name


def check_master(engine: str | None, master: str | None) -> None:
    """Exit with code 2 where a cluster is named and something else is to compute."""
    if master is not None and engine != "spark":
        say_usage("--master is of a Spark cluster. Add --engine spark, or leave it out.")
