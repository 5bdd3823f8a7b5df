"""One transaction a block, on both databases; and what a person reads where it fails."""

import socket
import sqlite3
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from tests.support.child_process import ChildProcess, python_command
from tests.support.databases import OpenDatabase
from tests.support.paths import ROOT
from tests.support.server import free_port

from windlass.errors import SettingsError, StorageError
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.db_tables import projects


def test_a_block_that_raises_leaves_nothing(open_database: OpenDatabase) -> None:
    database = open_database()

    def half() -> None:
        with database.writing() as connection:
            connection.execute(insert(projects).values(_project("half")))
            raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        half()
    with database.writing() as connection:
        connection.execute(insert(projects).values(_project("whole")))
    with open_database().reading() as connection:
        assert connection.execute(select(projects.c.name)).scalars().all() == ["whole"]


def test_a_reader_sees_one_moment(open_database: OpenDatabase) -> None:
    reader, writer = open_database(), open_database()
    with reader.reading() as connection:
        before = connection.execute(select(projects.c.name)).all()
        with writer.writing() as other:
            other.execute(insert(projects).values(_project("meanwhile")))
        assert connection.execute(select(projects.c.name)).all() == before == []
    with reader.reading() as connection:
        assert len(connection.execute(select(projects.c.name)).all()) == 1


def test_a_writer_waits_for_another(open_database: OpenDatabase) -> None:
    database = open_database()
    held, free = threading.Event(), threading.Event()
    with database.writing() as connection:
        connection.execute(insert(projects).values(_project("counted")))

    def hold() -> None:
        with database.writing() as connection:
            connection.execute(projects.update().values(updated_at=2.0))
            held.set()
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    threading.Timer(0.3, free.set).start()
    with database.writing() as connection:
        connection.execute(projects.update().values(updated_at=projects.c.updated_at + 1))
        assert connection.execute(select(projects.c.updated_at)).scalar() == 3.0
    holder.join()


WRITER = """
import sys
from sqlalchemy import insert, text
from windlass.storage.database import Database
from windlass.storage.db_tables import projects
url, writer = sys.argv[1:]
database = Database.open_url(url)
for number in range(25):
    with database.writing() as connection:
        last = connection.execute(text("SELECT count(*) FROM projects")).scalar_one()
        values = {"name": f"p{writer}-{number}", "declaration": {}, "updated_at": float(last)}
        connection.execute(insert(projects).values(values))
database.close()
"""


def test_eight_writers_are_not_locked_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'windlass.db'}"
    with ExitStack() as stack:
        commands = [python_command(WRITER, url, number) for number in range(8)]
        writers = [
            stack.enter_context(ChildProcess(command, cwd=ROOT, warm=True)) for command in commands
        ]
        for writer in writers:
            writer.finish(timeout=100).check()
    database = Database.open_url(url)
    with database.reading() as connection:
        seen = connection.execute(select(projects.c.updated_at)).scalars().all()
    database.close()
    assert sorted(seen) == [float(number) for number in range(200)]  # each saw all before it


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "windlass.db").write_text("notes " * 1000)
    with pytest.raises(StorageError, match=r"windlass\.db failed: file is not a database.*backup"):
        Database.open(Settings(home=tmp_path))


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    Database.open(Settings(home=tmp_path)).close()
    with sqlite3.connect(tmp_path / "windlass.db") as raw:
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.close()
    database = Database.open(Settings(home=tmp_path))

    def write_too_much() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.execute(insert(projects).values(_project("large", text="x" * 1_000_000)))

    with pytest.raises(StorageError, match=r"disk is full\. Free some space"):
        write_too_much()
    with database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert connection.execute(select(projects.c.name)).all() == []
    database.close()


def test_a_file_that_was_replaced_is_followed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        created = Database.open(Settings(home=tmp_path / name))
        with created.writing() as connection:
            connection.execute(insert(projects).values(_project(name)))
        created.close()
    path = tmp_path / "old" / "windlass.db"
    database = Database.open(Settings(home=path.parent))
    assert _names(database) == ["old"]
    (tmp_path / "new" / "windlass.db").replace(path)
    assert _names(database) == ["new"]
    with database.writing() as connection:
        connection.execute(insert(projects).values(_project("newer")))
    database.close()
    again = Database.open(Settings(home=path.parent))
    assert _names(again) == ["new", "newer"]
    again.close()


def test_a_missing_file_is_reported_and_not_made_anew(tmp_path: Path) -> None:
    database = Database.open(Settings(home=tmp_path))
    path = tmp_path / "windlass.db"
    path.rename(tmp_path / "away.db")
    for block in (database.reading, database.writing):
        with (
            pytest.raises(StorageError, match=r"file .*windlass\.db is gone\. Restore it"),
            block(),
        ):
            raise AssertionError
    assert not path.exists()
    (tmp_path / "away.db").rename(path)
    assert _names(database) == []
    database.close()


def test_a_file_that_must_exist_is_not_made(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(StorageError, match=r"no database file .*windlass\.db\. .*backup"):
        Database.open(settings, must_exist=True)
    assert list(tmp_path.iterdir()) == []
    Database.open(settings).close()
    database = Database.open(settings, must_exist=True)
    assert _names(database) == []
    database.close()


def test_a_file_that_goes_as_it_is_opened_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "a home, 100%20 ours")  # as it is written
    Database.open(settings).close()
    file = settings.home / "windlass.db"
    assert file.is_file()
    database = Database.open(settings)
    database.close()  # what comes next makes a new connection
    monkeypatch.setattr(database, "_reconnect_if_replaced", file.unlink)
    with pytest.raises(StorageError, match="unable to open database file"):
        _names(database)
    assert not file.exists()


def test_a_home_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Cannot make the home folder.*WINDLASS_HOME"):
        Database.open(Settings(home=tmp_path / "file" / "home"))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "windlass.db").mkdir()
    with pytest.raises(StorageError, match=r"unable to open database file.*Let this user write"):
        Database.open(Settings(home=tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root@h/d",
        "oracle://h/d",
        "nonsense",
        "postgresql+asyncpg://h/d",
        "://",
        "sqlite3:/x",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(SettingsError, match=r"WINDLASS_DATABASE_URL .*Use postgresql\+psycopg://"):
        Database.open_url(url)


def test_a_server_that_is_away_is_reported_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match=r"refused.*try again") as output:
        Database.open_url(f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/loans")
    assert "s3cret" not in str(output.value)


def test_a_server_that_never_answers_is_reported() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StorageError, match="timeout"):
            Database.open_url(f"postgresql://ann@127.0.0.1:{silent.getsockname()[1]}/loans")


def test_a_missing_database_is_reported(migrated_postgres_url: str) -> None:
    with pytest.raises(StorageError, match=r"does not exist.*WINDLASS_DATABASE_URL"):
        Database.open_url(f"{migrated_postgres_url.partition('?')[0]}_else")


def test_a_connection_that_was_cut_is_made_again(migrated_postgres_url: str) -> None:
    database, other = (
        Database.open_url(migrated_postgres_url),
        Database.open_url(migrated_postgres_url),
    )
    other_sessions = "datname = current_database() AND pid <> pg_backend_pid()"

    def be_cut() -> None:
        with database.writing() as connection:
            with other.writing() as killer:
                killer.execute(
                    text(
                        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {other_sessions}"
                    )
                )
            connection.execute(insert(projects).values(_project("lost")))

    with pytest.raises(StorageError, match=r"terminat|closed"):
        be_cut()
    with database.reading() as connection:
        assert connection.execute(select(projects.c.name)).all() == []
    database.close()
    other.close()


def _names(database: Database) -> list[str]:
    with database.reading() as connection:
        query = select(projects.c.name).order_by(projects.c.name)
        return list(connection.execute(query).scalars())


def _project(name: str, at: float = 1.0, text: str = "") -> dict[str, object]:
    return {"name": name, "declaration": {"text": text}, "updated_at": at}
