"""`windlass keys create | list | revoke`: the API keys of a registry's database."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from windlass.auth.key import ApiKey, Role
from windlass.cli.console import Json, add_command, echo, echo_error, echo_json, echo_table
from windlass.cli.versions import format_time
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.auth.key_store import KeyStore

Result = TypeVar("Result")
Near = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="PROJECT",
        help="Folder of a project whose registry has the keys.",
        show_default="the current folder",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the group `keys` to the application."""
    group = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
    app.add_typer(group, name="keys")

    add_command(group, "create", create_key)
    add_command(group, "list", list_keys)
    add_command(group, "revoke", revoke_key)


def create_key(
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the key's holder, as decisions record it.")
    ],
    role: Annotated[
        Role, typer.Option(help="Role of the key; each role includes those before it.")
    ],
    rate: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Limit of requests a minute.", show_default="the server's"
        ),
    ] = None,
    project: Near = Path(),
) -> None:
    """Create a key.

    It is printed once, on standard output, and stored only as a hash.
    """
    settings = Settings.read(near=[project])
    secret = _use_keys(settings, lambda keys: keys.create(name, role, rate), make=True)
    echo(secret)
    echo_error(
        f"This is the key {name}, with the role {role.value}. It is shown only once: keep it safe."
    )


def list_keys(project: Near = Path(), json: Json = False) -> None:
    """List all keys, revoked ones too."""
    settings = Settings.read(near=[project])
    keys = _use_keys(settings, lambda keys: keys.list()) if has_database(settings) else []
    if json:
        echo_json([_key_json(key) for key in keys])
    elif keys:
        header = ("name", "role", "requests a minute", "created", "revoked")
        echo_table(header, [_key_row(key) for key in keys])
    else:
        echo("There are no keys. Create one: windlass keys create --name NAME --role predict")


def revoke_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key.")],
    project: Near = Path(),
) -> None:
    """Revoke a key for good.

    Running servers refuse it within two seconds.
    """
    key = _use_keys(Settings.read(near=[project]), lambda keys: keys.revoke(name))
    echo(f"{key.name} is revoked. Servers that use this database refuse it within two seconds.")


def _use_keys(
    settings: Settings, action: "Callable[[KeyStore], Result]", *, make: bool = False
) -> Result:
    from windlass.auth.key_store import KeyStore
    from windlass.storage.database import Database

    database = Database.open(settings, must_exist=not make)
    with closing(KeyStore(database)) as keys:
        return action(keys)


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role.value,
        "rate": key.rate,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _key_row(key: ApiKey) -> tuple[object, ...]:
    revoked = "" if key.revoked_at is None else format_time(key.revoked_at)
    rate = "" if key.rate is None else key.rate
    return key.name, key.role.value, rate, format_time(key.created_at), revoked
