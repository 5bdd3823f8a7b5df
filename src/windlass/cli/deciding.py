"""Who decides on the command line: the holder of a key, where one is given; else this machine's user."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass.access.key import hash_of
from windlass.access.role import Role
from windlass.cli.registry import actor
from windlass.errors import AccessError

if TYPE_CHECKING:
    from windlass.registry.registry import Registry

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
    from windlass.access.keys import Keys

    found = Keys(registry.database).valid().get(hash_of(key.encode()))
    if found is None:
        raise AccessError(
            "The key given is unknown here, or revoked. Check --key or WINDLASS_KEY, and that WINDLASS_HOME or"
            " WINDLASS_DATABASE_URL names the registry that it was made for: `windlass keys list`."
        )
    if not found.role.reaches(Role.APPROVE):
        raise AccessError(
            f"The key {found.name} has the role {found.role.value}, and a decision needs {Role.APPROVE.value}."
            f" Make one: windlass keys create --name NAME --role {Role.APPROVE.value}"
        )
    return found.name
