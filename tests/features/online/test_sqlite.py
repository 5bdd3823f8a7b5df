"""The SQLite store: a file that may come, go and be another one; what was erased is off the disk."""

import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import OpenStore, rows

from windlass.errors import StorageError
from windlass.features.online.sqlite import SqliteKeyValueStore, SqliteTimings
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name no other store."""
    return Settings(home=tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the store lies."""
    return tmp_path / "features" / "credit" / "online.db"


def _left(file: Path) -> bytes:
    return b"".join(
        path.read_bytes() for path in file.parent.iterdir() if path.name != "online.db-shm"
    )


def _timed(file: Path, timings: SqliteTimings) -> OnlineStore:
    return OnlineStore(SqliteKeyValueStore(file, timings), PROJECT_VIEW)


def test_reading_makes_no_file(store: OnlineStore, file: Path) -> None:
    assert store.read(1) is None
    assert store.freshness() is None
    assert not store.erase(1)
    assert not file.parent.exists()


def test_a_file_without_tables_is_one_that_was_never_written(
    store: OnlineStore, file: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.touch()  # another process is about to write
    assert store.read(1) is None
    store.write(rows({}), 1)
    assert store.read(1) is not None


def test_what_is_erased_is_off_the_disk(open_store: OpenStore, file: Path) -> None:
    reader, writer = open_store(), open_store()
    named = [{"id": n, "avg_amount_loans_previous": 31337.25 + n} for n in range(500)]
    writer.write(rows(*named), 1)
    assert reader.read(77) is not None
    assert b"31414.25" in _left(file)
    assert writer.erase(77)
    assert b"31414.25" not in _left(file)
    assert b"31415.25" in _left(file)


def test_a_file_that_was_replaced_is_opened_again(file: Path, tmp_path: Path) -> None:
    store = _timed(file, SqliteTimings(file_check=0.0))
    store.write(rows({}), 1)
    assert store.read(1) is not None
    for left in list(file.parent.iterdir()):
        left.unlink()
    assert store.read(1) is None
    other = online_store(Settings(home=tmp_path), PROJECT_VIEW, "credit")
    other.write(rows({"id": 2}), 1)
    assert (store.read(1), store.read(2) is not None) == (None, True)
    other.close()
    store.close()


def test_a_reader_does_not_wait_for_a_writer(store: OnlineStore, file: Path) -> None:
    store.write(rows({}), 1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM entities")
    assert store.read(1) is not None
    other.execute("ROLLBACK")
    other.close()


def test_a_writer_waits_for_another_but_not_for_ever(store: OnlineStore, file: Path) -> None:
    store.write(rows({}), 1)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.execute, ("ROLLBACK",))
    timer.start()
    assert store.write(rows({"id": 2}), 1) == 1
    timer.join()
    hurried = _timed(file, SqliteTimings(write=0.1))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"is locked\. Another process is writing for long"):
        hurried.write(rows({"id": 3}), 1)
    other.close()
    hurried.close()
    assert store.read(3) is None


def test_a_write_that_fails_leaves_nothing(store: OnlineStore, file: Path) -> None:
    def some() -> Iterator[tuple[int, int, bytes]]:
        yield 1, 1, b"[1]"
        raise RuntimeError("half")

    key_value_store = SqliteKeyValueStore(file)
    with pytest.raises(RuntimeError, match="half"):
        key_value_store.put(some())
    assert key_value_store.count() == 0
    key_value_store.close()


def test_a_file_that_is_no_database_is_refused(store: OnlineStore, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"of a stranger " * 1000)
    for ask in (store.read, store.erase, lambda _: store.write(rows({}), 1)):
        with pytest.raises(StorageError, match=r"online\.db failed: file is not a database\. Move"):
            ask(1)


def test_a_folder_that_cannot_be_made_is_reported(store: OnlineStore, file: Path) -> None:
    file.parent.parent.mkdir()
    file.parent.write_text("a file")
    assert store.read(1) is None
    with pytest.raises(StorageError, match=r"failed: .*File exists"):
        store.write(rows({}), 1)


def test_a_store_can_be_used_again_after_it_was_closed(store: OnlineStore) -> None:
    store.write(rows({}), 1)
    assert store.read(1) is not None
    store.close()
    assert store.read(1) is not None


def test_missing_layouts_are_reported(open_store: OpenStore, file: Path) -> None:
    open_store().write(rows({}), 1)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM notes")
    connection.close()
    with pytest.raises(StorageError, match=r"layout is gone\. Materialise the features again"):
        open_store().read(1)


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files by /proc")
def test_nothing_stays_open(open_store: OpenStore) -> None:
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    store = open_store()
    store.write(rows({}), 1)
    store.read(1)
    store.close()
    assert len(list(folder.iterdir())) == before
