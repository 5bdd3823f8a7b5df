"""Keys in a database: one suite over SQLite and PostgreSQL."""

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from windlass.auth.key import Role, hash_secret
from windlass.auth.key_store import KeyStore
from windlass.errors import AccessError, StorageError
from windlass.storage import db_tables
from windlass.storage.database import Database


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


def test_a_key_is_made_once_and_kept_as_a_hash(keys: KeyStore, database: Database) -> None:
    secret = keys.create("ci", Role.TRAIN, 600)
    (key,) = keys.list()
    assert (key.name, key.role, key.rate, key.revoked_at) == ("ci", Role.TRAIN, 600, None)
    assert keys.active_keys() == {hash_secret(secret.encode()): key}
    with database.reading() as connection:
        (row,) = connection.execute(select(db_tables.keys)).all()
    assert secret[3:] not in str(tuple(row))


def test_listed_by_name_and_revoked_ones_too(keys: KeyStore) -> None:
    for name in ("b", "c", "a"):
        keys.create(name, Role.PREDICT)
    revoked = keys.revoke("b")
    assert revoked.revoked_at is not None
    assert [key.name for key in keys.list()] == ["a", "b", "c"]
    assert sorted(key.name for key in keys.active_keys().values()) == ["a", "c"]


def test_revoking_twice_changes_nothing(keys: KeyStore) -> None:
    keys.create("ci", Role.PREDICT)
    assert keys.revoke("ci") == keys.revoke("ci")


def test_a_name_is_given_once_ever(keys: KeyStore) -> None:
    keys.create("ci", Role.PREDICT)
    with pytest.raises(AccessError, match="There is a key 'ci' already"):
        keys.create("ci", Role.ADMIN)
    keys.revoke("ci")
    with pytest.raises(AccessError, match="'ci' was revoked"):
        keys.create("ci", Role.PREDICT)
    assert keys.active_keys() == {}


def test_an_unknown_name_is_refused(keys: KeyStore) -> None:
    with pytest.raises(AccessError, match="no key 'nobody'"):
        keys.revoke("nobody")


@pytest.mark.parametrize(("name", "rate"), [("policy", None), ("A", None), ("a", 0)])
def test_what_cannot_be_is_refused_before_anything_is_written(
    keys: KeyStore, name: str, rate: int | None
) -> None:
    with pytest.raises(AccessError):
        keys.create(name, Role.PREDICT, rate)
    assert keys.list() == []


def test_eight_at_once_make_one_key_of_a_name(keys: KeyStore) -> None:
    created: list[str] = []
    refused: list[AccessError] = []

    def create() -> None:
        try:
            created.append(keys.create("ci", Role.PREDICT))
        except AccessError as error:
            refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(created), len(refused)) == (1, 7)
    assert list(keys.active_keys()) == [hash_secret(created[0].encode())]


def test_a_role_of_a_newer_windlass_is_refused(keys: KeyStore, database: Database) -> None:
    keys.create("ci", Role.PREDICT)
    with database.writing() as connection:
        connection.execute(update(db_tables.keys).values(role="auditor"))
    for ask in (keys.active_keys, keys.list):
        with pytest.raises(StorageError, match="'ci' has the role 'auditor'"):
            ask()


def test_the_lock_of_another_writer_is_waited_for(keys: KeyStore, database: Database) -> None:
    keys.create("ci", Role.PREDICT)
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(keys.revoke("ci")))
    with database.writing() as connection:
        connection.execute(update(db_tables.keys).values(rate=7))
        thread.start()
        assert keys.active_keys() != {}  # who reads waits for nobody
    thread.join(60)
    assert done[0].rate == 7
