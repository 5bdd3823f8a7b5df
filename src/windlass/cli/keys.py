"""`windlass keys create | list | revoke`: who may use a server."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from windlass.auth.key import Role
from windlass.cli.console import guarded, say, say_error, say_json, say_table
from windlass.cli.versions import Json, moment
from windlass.settings import Settings
from windlass.storage.urls import has_database

if TYPE_CHECKING:
    from windlass.auth.key_store import ApiKey, KeyStore

Result = TypeVar("Result")


def register(app: typer.Typer) -> None:
    """Attach `keys` to the application."""
    group = typer.Typer(help="API keys: make them, list them, revoke them.", no_args_is_help=True)
    app.add_typer(group, name="keys")

    @group.command("create")
    def create(
        name: Annotated[str, typer.Option(help="Whose it is: the actor in decisions.")],
        role: Annotated[
            Role, typer.Option(help="What it may do; each role may do what those before may.")
        ],
        rate: Annotated[
            int | None, typer.Option(min=1, help="Requests a minute.", show_default="the server's")
        ] = None,
    ) -> None:
        """Make a key. It is printed once, on standard output, and kept only as a hash."""
        raise typer.Exit(guarded(lambda: _create(name, role, rate)))

    @group.command("list")
    def list_keys(json: Json = False) -> None:
        """List all keys, revoked ones too."""
        raise typer.Exit(guarded(lambda: _list(json=json)))

    @group.command("revoke")
    def revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
        """Revoke a key for good. Running servers refuse it within two seconds."""
        raise typer.Exit(guarded(lambda: _revoke(name)))


def _create(name: str, role: Role, rate: int | None) -> None:
    secret = _with_keys(lambda keys: keys.create(name, role, rate), make=True)
    say(secret)
    say_error(
        f"This is the key {name}, with the role {role.value}. It is shown this once: keep it safe."
    )


def _list(*, json: bool) -> None:
    keys = _with_keys(lambda keys: keys.list()) if has_database(Settings.read()) else []
    if json:
        say_json([_facts(key) for key in keys])
    elif keys:
        header = ("name", "role", "requests a minute", "made", "revoked")
        say_table(header, [_line(key) for key in keys])
    else:
        say("There are no keys. Make one: windlass keys create --name NAME --role predict")


def _revoke(name: str) -> None:
    key = _with_keys(lambda keys: keys.revoke(name))
    say(f"{key.name} is revoked. Servers that use this database refuse it within two seconds.")


def _with_keys(action: "Callable[[KeyStore], Result]", *, make: bool = False) -> Result:
    from windlass.storage.database import Database

    keys = KeyStore(Database.open(Settings.read(), must_exist=not make))
    try:
        return action(keys)
    finally:
        keys.close()


def _facts(key: "ApiKey") -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role.value,
        "rate": key.rate,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _line(key: "ApiKey") -> tuple[object, ...]:
    revoked = "" if key.revoked_at is None else moment(key.revoked_at)
    rate = "" if key.rate is None else key.rate
    return key.name, key.role.value, rate, moment(key.created_at), revoked
