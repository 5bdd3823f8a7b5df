"""Where a server reads its keys: the database, once somebody made one."""

from pathlib import Path

import pytest
from tests.support.child_process import run_python

from windlass.auth.key import Role
from windlass.auth.key_source import DatabaseKeySource
from windlass.auth.key_store import KeyStore
from windlass.errors import StorageError
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.urls import pin_database

READ = """
import sys
from pathlib import Path
from windlass.auth.key_source import DatabaseKeySource
from windlass.settings import Settings
assert DatabaseKeySource(Settings(home=Path(sys.argv[1]))).read() == {}
assert "sqlalchemy" not in sys.modules
"""


def test_no_database_is_created_and_no_library_imported_to_read_no_keys(tmp_path: Path) -> None:
    run_python(READ, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_made_later_are_seen(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    source = DatabaseKeySource(settings)
    assert source.read() == {}
    keys = KeyStore(Database.open(settings))
    keys.create("ci", Role.PREDICT)
    assert [key.name for key in source.read().values()] == ["ci"]
    keys.revoke("ci")
    assert source.read() == {}
    keys.close()
    source.close()


def test_a_missing_database_file_is_an_error(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    keys = KeyStore(Database.open(settings))
    keys.create("ci", Role.PREDICT)
    keys.close()
    source, later = DatabaseKeySource(settings), DatabaseKeySource(pin_database(settings))
    source.read()
    (tmp_path / "windlass.db").unlink()
    for item in (source, later):
        with pytest.raises(StorageError, match="database file"):
            item.read()
        item.close()
    assert list(tmp_path.glob("windlass.db")) == []


def test_a_database_that_is_away_is_reported(tmp_path: Path) -> None:
    away = "postgresql+psycopg://windlass:hidden-word@127.0.0.1:1/windlass"
    source = DatabaseKeySource(Settings(home=tmp_path, database_url=away))
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            source.read()
        assert "hidden-word" not in str(caught.value)
    source.close()
