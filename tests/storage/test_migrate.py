"""The migrations make exactly the tables that the code sees, in several processes too, and touch no newer ones."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from tests.support.child_process import ChildProcess, python_command, run_python
from tests.support.databases import OpenDatabase
from tests.support.paths import ROOT

from windlass.errors import StorageError
from windlass.storage.database import HEAD_REVISION, Database
from windlass.storage.db_tables import metadata

FOLDER = ROOT / "src" / "windlass" / "storage" / "migrations" / "versions"
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


def test_the_tables_are_made_once_by_several_processes(database_url: str) -> None:
    with ExitStack() as stack:
        openers = [
            stack.enter_context(ChildProcess(python_command(OPENER, database_url), warm=True))
            for _ in range(4)
        ]
        for opener in openers:
            opener.close_input()
        for opener in openers:
            opener.finish(timeout=100).check()
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
    assert run_python(code, url) == "[]\n"
