"""Redis and PostgreSQL: how they are named, what else lies in them, servers that were started anew."""

import sys
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import rows
from tests.support.services import redis_url

from windlass.errors import SettingsError, StorageError
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

__all__ = ["redis_url"]  # a fixture


def _open(url: str) -> OnlineStore:
    return online_store(Settings(online_url=url), PROJECT_VIEW, "credit")


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/x",
        "redis://127.0.0.1:6379/0?speed=secret",
        "postgresql://[secret/d",
        "redis://:secret@h:p/0",
    ],
)
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(
        SettingsError, match=r"WINDLASS_ONLINE_URL is not a URL of an online store\. Use redis://"
    ) as caught:
        _open(url).read(1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://root@h/db", "online.db", "sqlite:///online.db"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="or leave it out for SQLite"):
        _open(url)


@pytest.mark.parametrize(
    ("url", "client", "module"),
    [("redis://h", "redis", "redis"), ("postgresql://h/d", "psycopg", "postgres")],
)
def test_a_client_that_is_not_installed_is_reported(
    url: str, client: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"windlass.features.online.{module}", raising=False)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(
        SettingsError, match=rf"{client} is not installed.*'windlass-ml\[{module}\]'"
    ):
        _open(url)


def test_every_form_of_a_postgres_url_is_accepted(migrated_postgres_url: str) -> None:
    rest = migrated_postgres_url[migrated_postgres_url.index("://") :]
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        store = _open(scheme + rest)
        store.write(rows({}), 1)
        assert store.read(1) is not None
        store.close()


def test_a_restarted_postgres_is_used_again(migrated_postgres_url: str) -> None:
    import psycopg

    store = _open(migrated_postgres_url)
    store.write(rows({}), 1)
    assert store.read(1) is not None
    plain = migrated_postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        other_sessions = (
            "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(f"SELECT pg_terminate_backend(pid) {other_sessions}")
    assert store.read(1) is not None
    assert store.erase(1)
    store.close()


def test_a_writer_of_postgres_needs_no_right_to_make_tables_that_are_there(
    migrated_postgres_url: str,
) -> None:
    import psycopg

    _open(migrated_postgres_url).write(rows({}), 1)
    plain = migrated_postgres_url.replace("+psycopg", "")
    writer = f"windlass_test_{token_hex(6)}"  # roles are of the whole server
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM public")
        connection.execute(f"CREATE ROLE {writer}")
        try:
            connection.execute(f"GRANT USAGE ON SCHEMA public TO {writer}")
            connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {writer}")
            with psycopg.connect(plain, autocommit=True) as other:
                other.execute(f"SET ROLE {writer}")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    other.execute("CREATE TABLE windlass_test (n int)")
            mark = "&" if "?" in migrated_postgres_url else "?"
            store = _open(f"{migrated_postgres_url}{mark}options=-c%20role%3D{writer}")
            assert store.write(rows({"id": 2}), 1) == 1
            store.close()
        finally:
            connection.execute(f"DROP OWNED BY {writer}")
            connection.execute(f"DROP ROLE {writer}")


def test_redis_keeps_two_hashes_a_project(redis_url: str) -> None:
    from redis import Redis

    store = _open(redis_url)
    store.write(rows({}, {"id": 2}), 1)
    client = Redis.from_url(redis_url)
    assert client.hlen("windlass:{credit}:entities") == 2
    assert client.hlen("windlass:{credit}:notes") == 1
    assert len(client.keys("windlass:*")) == 2
    client.close()
    store.close()


def test_what_redis_refuses_is_reported(redis_url: str) -> None:
    from redis import Redis

    client = Redis.from_url(redis_url)
    client.set("windlass:{credit}:entities", "of a stranger")
    client.close()
    store = _open(redis_url)
    with pytest.raises(StorageError, match=r"WRONGTYPE.* See whether"):
        store.read(1)
    store.close()


def test_a_redis_behind_a_password_says_so(redis_url: str) -> None:
    from redis import Redis

    client, user = Redis.from_url(redis_url), f"windlass_test_{token_hex(6)}"
    client.acl_setuser(user, enabled=True, passwords=["+right"])
    try:
        store = _open(redis_url.replace("://", f"://{user}:wrong@"))
        with pytest.raises(StorageError, match="password in WINDLASS_ONLINE_URL") as caught:
            store.read(1)
        assert "wrong@" not in str(caught.value)
        store.close()
        store = _open(redis_url.replace("://", f"://{user}:right@"))
        with pytest.raises(StorageError, match="Let this user read and write hashes"):
            store.read(1)
        store.close()
    finally:
        client.acl_deluser(user)
        client.close()


def test_the_url_selects_the_store(redis_url: str, tmp_path: Path) -> None:
    store: Any = online_store(Settings(home=tmp_path, online_url=redis_url), PROJECT_VIEW, "credit")
    assert store._key_values.where == f"The online store {redis_url}"
    store.close()
    default: Any = online_store(Settings(home=tmp_path), PROJECT_VIEW, "credit")
    assert default._key_values.where.endswith("features/credit/online.db")
