"""Creates, lists and revokes the keys of a database; the secrets themselves are not stored."""

import time
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from windlass.auth.key import ApiKey, Role, check_name, check_rate, hash_secret, new_secret
from windlass.errors import AccessError, StorageError
from windlass.storage.database import Database
from windlass.storage.db_tables import keys

__all__ = ["ApiKey", "KeyStore"]


class KeyStore:
    """Store of the API keys in one database.

    Safe to use from several processes; a name is never given twice.
    Every method raises StorageError where the database cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: Role, rate: int | None = None) -> str:
        """Creates a key and returns its secret, which cannot be read again.

        `rate` is in requests a minute. Raises AccessError for an invalid name or rate, or a name that was
        given before.
        """
        check_name(name)
        check_rate(rate)
        secret = new_secret()
        row = {"name": name, "hash": hash_secret(secret.encode()), "role": role.value, "rate": rate}
        with self._database.writing() as connection:
            existing = connection.execute(select(keys).where(keys.c.name == name)).first()
            if existing is not None:
                raise _name_taken(_parse_key(existing))
            try:
                connection.execute(insert(keys), {**row, "created_at": time.time()})
            except IntegrityError as error:  # another process was quicker
                raise AccessError(f"There is a key {name!r} already. Choose another.") from error
        return secret

    def list(self) -> list[ApiKey]:
        """Returns every key, revoked ones too, sorted by name."""
        with self._database.reading() as connection:
            return [
                _parse_key(row) for row in connection.execute(select(keys).order_by(keys.c.name))
            ]

    def revoke(self, name: str) -> ApiKey:
        """Revokes a key for good and returns it.

        A key that is revoked already stays as it is.
        Raises AccessError where there is no such key.
        """
        with self._database.writing() as connection:
            connection.execute(
                update(keys)
                .where(keys.c.name == name, keys.c.revoked_at.is_(None))
                .values(revoked_at=time.time())
            )
            row = connection.execute(select(keys).where(keys.c.name == name)).first()
        if row is None:
            raise AccessError(
                f"There is no key {name[:80]!r}. `windlass keys list` shows all there are."
            )
        return _parse_key(row)

    def active_keys(self) -> dict[str, ApiKey]:
        """Returns the keys that are not revoked, by hash; servers poll this."""
        with self._database.reading() as connection:
            rows = connection.execute(select(keys).where(keys.c.revoked_at.is_(None))).all()
        return {row.hash: _parse_key(row) for row in rows}

    def close(self) -> None:
        """Closes the database's connections."""
        self._database.close()


def _name_taken(key: ApiKey) -> AccessError:
    if key.revoked_at is None:
        return AccessError(
            f"There is a key {key.name!r} already. Choose another name; to replace a key, make the new one first,"
            " then revoke the old one."
        )
    return AccessError(
        f"A key {key.name!r} was revoked. A name is never used again, since decisions record it. Choose another name."
    )


def _parse_key(row: Row[Any]) -> ApiKey:
    try:
        role = Role(row.role)
    except ValueError as error:
        raise StorageError(
            f"The key {row.name!r} has the role {row.role!r}, which this version of Windlass does not know."
            " Revoke it, or bring Windlass up to date."
        ) from error
    return ApiKey(row.name, role, row.hash, row.rate, row.created_at, row.revoked_at)
