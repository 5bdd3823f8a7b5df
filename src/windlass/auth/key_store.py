"""The keys that the database holds: made, listed, revoked. What a holder sends is nowhere kept."""

import time
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from windlass.auth.key import ApiKey, Role, check_name, check_rate, hash_of, new_secret
from windlass.errors import AccessError, StorageError
from windlass.storage.database import Database
from windlass.storage.db_tables import keys

__all__ = ["ApiKey", "KeyStore"]


class KeyStore:
    """The keys of one database. Any process may ask at any time; a name is given once, ever.

    Every method raises StorageError where the database cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: Role, rate: int | None = None) -> str:
        """Make a key and return what its holder sends; nobody can ask for that again.

        `rate` is in requests a minute. Raises AccessError for a name or a rate that cannot be, or a name
        that was given before.
        """
        check_name(name)
        check_rate(rate)
        secret = new_secret()
        row = {"name": name, "hash": hash_of(secret.encode()), "role": role.value, "rate": rate}
        with self._database.writing() as connection:
            found = connection.execute(select(keys).where(keys.c.name == name)).first()
            if found is not None:
                raise _taken(_key(found))
            try:
                connection.execute(insert(keys), {**row, "created_at": time.time()})
            except IntegrityError as error:  # another process was quicker
                raise AccessError(f"There is a key {name!r} already. Choose another.") from error
        return secret

    def list(self) -> list[ApiKey]:
        """Every key that was ever made, by name."""
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.name))]

    def revoke(self, name: str) -> ApiKey:
        """Make a key worthless, for good; one that was revoked before stays as it was.

        Raises AccessError where there is no such key.
        """
        with self._database.writing() as connection:
            connection.execute(
                update(keys)
                .where(keys.c.name == name, keys.c.revoked_at.is_(None))
                .values(revoked_at=time.time())
            )
            found = connection.execute(select(keys).where(keys.c.name == name)).first()
        if found is None:
            raise AccessError(
                f"There is no key {name[:80]!r}. `windlass keys list` shows all there are."
            )
        return _key(found)

    def valid(self) -> dict[str, ApiKey]:
        """The keys that are not revoked, by hash: what a server asks for over and over."""
        with self._database.reading() as connection:
            rows = connection.execute(select(keys).where(keys.c.revoked_at.is_(None))).all()
        return {row.hash: _key(row) for row in rows}

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()


def _taken(key: ApiKey) -> AccessError:
    if key.revoked_at is None:
        return AccessError(
            f"There is a key {key.name!r} already. Choose another name; to replace a key, make the new one first,"
            " then revoke the old one."
        )
    return AccessError(
        f"A key {key.name!r} was revoked, and a name is given once, for decisions bear it. Choose another name."
    )


def _key(row: Row[Any]) -> ApiKey:
    try:
        role = Role(row.role)
    except ValueError as error:
        raise StorageError(
            f"The key {row.name!r} has the role {row.role!r}, which this version of Windlass does not know."
            " Revoke it, or bring Windlass up to date."
        ) from error
    return ApiKey(row.name, role, row.hash, row.rate, row.created_at, row.revoked_at)
