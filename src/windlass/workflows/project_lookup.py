"""Finds what a call works on: the registry, a project by its folder or name, and the actor of a decision.

The command line and the Python API share it.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from windlass.auth.key import RESERVED_NAMES, Role, hash_secret
from windlass.core.project_loader import load_project
from windlass.core.project_spec import find_folder, find_project
from windlass.errors import AccessError, UnknownError
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.registry.registry import Registry


@contextmanager
def open_registry(settings: Settings, *, make: bool = False) -> Iterator["Registry"]:
    """Opens the registry of the settings and closes it at the end.

    Raises StorageError where it does not exist yet and `make` is false.
    """
    from windlass.registry.registry import Registry

    opened = Registry.open(settings, must_exist=not make)
    with closing(opened) as registry:
        yield registry


def settings_near(target: Path) -> Settings:
    """Returns the settings for a project or a bundle, with an absolute home. Raises SettingsError."""
    settings = Settings.read(near=[target])
    return replace(settings, home=settings.home.absolute())


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


def resolve_folder(target: Path, settings: Settings) -> Path:
    """Returns the folder of the project whose folder or name `target` is; of an unknown one the path as it is."""
    if target == Path() or (target / "project.py").is_file():
        return target
    if not has_database(settings):
        return target
    with open_registry(settings) as registry:
        return find_folder(registry.declarations(), target)


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
