"""The migrations make exactly the tables that the code sees, whoever comes first, and no newer ones are touched."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from tests.storage.conftest import OpenDatabase

from windlass.errors import StorageError
from windlass.storage.database import HEAD_REVISION, Database
from windlass.storage.db_tables import metadata

FOLDER = Path(__file__).parents[2] / "src" / "windlass" / "storage" / "migrations" / "versions"
OPENER = """
import sys
from windlass.storage.database import Database
sys.stdin.read()  # until all are there
Database.open_url(sys.argv[1]).close()
"""


def test_migrations_make_the_tables_that_the_code_sees(database_url: str) -> None:
    database = Database.open_url(database_url)
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD_REVISION
    database.close()


def test_the_newest_step_is_the_last_file() -> None:
    assert max(FOLDER.glob("0*.py")).name.startswith(f"{HEAD_REVISION}_")


def test_the_tables_are_made_once_by_however_many(database_url: str) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, database_url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.close()
        opener.stdin = None
    output = [opener.communicate(timeout=100)[1].decode() for opener in openers]
    assert [opener.returncode for opener in openers] == [0] * 4, output
    Database.open_url(database_url).close()


def test_tables_of_a_newer_windlass_are_refused(open_database: OpenDatabase) -> None:
    database = open_database()
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"step 9999, which a newer Windlass made.*Install"):
        open_database()


def test_tables_that_are_there_need_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'there.db'}"
    Database.open_url(url).close()
    code = (
        "import sys; from windlass.storage.database import Database; Database.open_url(sys.argv[1]).close();"
        "print([m for m in ('alembic', 'obstore', 'psycopg') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
