"""Snapshots reach the store whole: in batches, after a kill, beside each other, and without the erased."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.child_process import Finished, run
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import DAY, OpenStore, rows, snapshot_of, write_parts
from tests.support.paths import ROOT
from tests.support.server import free_port

from windlass.errors import FeatureError, StorageError
from windlass.features.offline.snapshot import Snapshot
from windlass.features.online.materialise import MaterialisationResult, materialise
from windlass.features.online.postgres import PostgresKeyValueStore
from windlass.features.online.redis import RedisKeyValueStore
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

SILENT = snapshot_of()
ENTITIES = range(100, 200)


def _run(
    store: OnlineStore, parts: list[Path], snapshot: Snapshot = SILENT, **options: Any
) -> MaterialisationResult:
    return materialise(
        store, PROJECT_VIEW, parts, snapshot, options.pop("progress", _silent), **options
    )


def _silent(_: float, __: str) -> None:
    pass


def _held(store: OnlineStore) -> dict[int, int]:
    """Entities and the snapshots that they came with."""
    stored = store.read_many(range(50, 250))
    return {entity: row.snapshot for entity, row in enumerate(stored, 50) if row is not None}


def test_everything_is_written_and_then_fresh(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "parts", ENTITIES, 4)
    reports: list[tuple[float, str, bool]] = []

    def progress(share: float, what: str) -> None:
        reports.append((share, what, store.freshness() is None))

    before = time.time()
    done = _run(store, parts[::-1], progress=progress, batch=30)
    assert (done.parts, done.resumed, done.rows, done.written) == (4, 0, 100, 100)
    assert _held(store) == dict.fromkeys(ENTITIES, 1)
    assert done.freshness == store.freshness()
    assert (done.freshness.snapshot, done.freshness.newest, done.freshness.entities) == (
        1,
        DAY,
        100,
    )
    assert (done.freshness.name, done.freshness.view) == ("clients", PROJECT_VIEW.version)
    assert before <= done.freshness.materialised_at <= time.time()
    assert [share for share, _, _ in reports] == [0, 0.25, 0.5, 0.75, 1.0]
    assert [is_due for _, _, is_due in reports] == [True] * 4 + [False]
    assert reports[0][1] == "part 1 of 4"


def test_the_newest_event_is_that_of_all_parts(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "a", [1, 2], 2)
    late = DAY + timedelta(days=400)
    parts += [
        part.rename(tmp_path / "a" / f"part-1{n}.parquet")
        for n, part in enumerate(write_parts(tmp_path / "b", [3, 4], 2, loan_date=late))
    ]
    assert _run(store, parts, batch=25).freshness.newest == late
    assert _run(store, parts).freshness.newest == late


def test_no_parts_write_nothing(store: OnlineStore, tmp_path: Path) -> None:
    for parts in ([], write_parts(tmp_path, [], 2)):
        done = _run(store, parts)
        assert (done.rows, done.freshness.newest, done.freshness.entities) == (0, None, 0)


def test_a_second_run_writes_the_same(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, ENTITIES, 3)
    first, second = _run(store, parts), _run(store, parts)
    assert second.resumed == 0
    assert second.freshness.entities == 100
    assert second.freshness.materialised_at > first.freshness.materialised_at


def test_an_older_snapshot_changes_nothing(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, ENTITIES, 3)
    newest = _run(store, parts, snapshot_of(2, 2.0)).freshness
    done = _run(store, parts, snapshot_of(1, 1.0))
    assert (done.rows, done.written) == (100, 0)
    assert store.freshness() == newest
    assert set(_held(store).values()) == {2}


def _program(settings: Settings, folder: Path, *arguments: object) -> Finished:
    program = [sys.executable, "-m", "tests.support.materialise_program"]
    url = settings.online_url or ""
    return run([*program, settings.home, url, folder, *arguments], cwd=ROOT, warm=True)


def test_a_killed_run_is_resumed(open_store: OpenStore, settings: Settings, tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", ENTITIES, 10)
    killed = _program(settings, tmp_path / "parts", 1, 7)
    assert killed.code == -signal.SIGKILL, killed.err
    store = open_store()
    assert store.freshness() is None
    assert len(_held(store)) == 60
    for number in range(6):  # what was done is not read again
        (tmp_path / "parts" / f"part-{number:02}.parquet").write_bytes(b"")
    resumed = _program(settings, tmp_path / "parts", 1)
    assert resumed.check() == "6\n"
    assert _held(store) == dict.fromkeys(ENTITIES, 1)
    assert store.freshness().entities == 100  # type: ignore[union-attr]
    assert store.progress(1) is None


def test_processes_read_while_another_writes(
    open_store: OpenStore, settings: Settings, tmp_path: Path
) -> None:
    store, answers = open_store(), 0
    _run(store, write_parts(tmp_path / "1", ENTITIES, 4, nb_previous_loans=1))
    write_parts(tmp_path / "2", ENTITIES, 4, nb_previous_loans=2)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_program, settings, tmp_path / "2", 2)
        while not writing.done():
            for row in store.read_many(ENTITIES):
                assert row is not None
                assert row.values["nb_previous_loans"] == row.snapshot
            answers += 1
    writing.result().check()
    assert answers > 1
    assert _held(store) == dict.fromkeys(ENTITIES, 2)


def test_another_snapshot_starts_afresh(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, ENTITIES, 4)
    _broken_off(store, parts, snapshot_of(1, 1.0))
    assert _run(store, parts, snapshot_of(2, 2.0)).resumed == 0
    assert _held(store) == dict.fromkeys(ENTITIES, 2)
    store.erase(100)
    _broken_off(store, parts, snapshot_of(3, 3.0))
    anew = snapshot_of(3, 4.0)  # of the same number, in an offline store that was begun anew
    assert _run(store, parts, anew).resumed == 0


def _broken_off(store: OnlineStore, parts: list[Path], snapshot: Snapshot) -> None:
    def progress(share: float, _: str) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(store, parts, snapshot, progress=progress, batch=25)
    assert store.progress(snapshot.number) is not None


def test_a_snapshot_older_than_the_stored_one_is_refused(
    store: OnlineStore, tmp_path: Path
) -> None:
    parts = write_parts(tmp_path, ENTITIES, 2)
    _run(store, parts, snapshot_of(7, 70.0))
    with pytest.raises(FeatureError, match=r"holds snapshot 7, which is older than snapshot 1"):
        _run(store, parts, snapshot_of(1, 71.0))
    assert set(_held(store).values()) == {7}


def test_two_materialisations_at_once_succeed(open_store: OpenStore, tmp_path: Path) -> None:
    older = write_parts(tmp_path / "1", ENTITIES, 5, nb_previous_loans=1)
    newer = write_parts(tmp_path / "2", [*ENTITIES][50:], 5, nb_previous_loans=2)
    failed: list[BaseException] = []

    def run(parts: list[Path], number: int) -> None:
        try:
            _run(open_store(), parts, snapshot_of(number, float(number)), batch=7)
        except BaseException as error:
            failed.append(error)
            raise

    work = [(older, 1), (newer, 2), (newer, 2), (older, 1)]
    threads = [threading.Thread(target=run, args=arguments) for arguments in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store = open_store()
    assert _held(store) == {entity: 1 if entity < 150 else 2 for entity in ENTITIES}
    assert store.freshness().snapshot == 2  # type: ignore[union-attr]
    assert (store.progress(1), store.progress(2)) == (None, None)


def test_an_entity_erased_meanwhile_does_not_come_back(
    store: OnlineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = write_parts(tmp_path / "parts", ENTITIES, 2)
    write = type(store).write

    def erase_first(self: OnlineStore, *arguments: Any) -> int:
        """As `windlass features erase` does: offline, then online, while rows lie ready to be written."""
        for part in write_parts(tmp_path / "erased", [*ENTITIES][:-2], 2):
            part.replace(tmp_path / "parts" / part.name)
        for entity in ENTITIES[-2:]:
            self.erase(entity)
        return write(self, *arguments)

    monkeypatch.setattr(type(store), "write", erase_first)
    _run(store, parts)
    assert sorted(_held(store)) == [*ENTITIES][:-2]


def test_a_part_that_cannot_be_read_is_reported(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, ENTITIES, 3)
    parts[1].write_bytes(b"PAR1 of a stranger")
    with pytest.raises(FeatureError, match=r"part-01\.parquet of the offline store cannot be read"):
        _run(store, parts, batch=34)
    assert len(_held(store)) == 34  # what was written stays
    parts[2].unlink()
    write_parts(tmp_path / "mended", ENTITIES, 3)[1].replace(parts[1])
    with pytest.raises(FeatureError, match=r"part-02\.parquet"):
        _run(store, parts, batch=34)
    assert store.freshness() is None


@pytest.fixture(params=["redis", "postgresql+psycopg"])
def away(request: pytest.FixtureRequest) -> Callable[[int], OnlineStore]:
    """Opens a store whose server is at a port of this machine."""

    def open_it(port: int) -> OnlineStore:
        url = f"{request.param}://someone:secret@127.0.0.1:{port}/0"
        return online_store(Settings(online_url=url), PROJECT_VIEW, "credit")

    return open_it


def test_a_store_that_is_away_is_reported(
    away: Callable[[int], OnlineStore], tmp_path: Path
) -> None:
    _fails_soon(away(free_port()), tmp_path)


@pytest.mark.parametrize("kind", ["redis", "postgresql+psycopg"])
def test_a_store_that_does_not_answer_is_reported(kind: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{kind}://someone:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        key_values = (
            RedisKeyValueStore(url, "credit", timeout=0.2)
            if kind == "redis"
            else PostgresKeyValueStore(url, "credit", {"connect_timeout": 2})  # the least there is
        )
        store = OnlineStore(key_values, PROJECT_VIEW)
        _fails_soon(store, tmp_path, [lambda store: store.read(1)])


Ask = Callable[[OnlineStore], object]
EVERYTHING: list[Ask] = [
    lambda store: store.read(1),
    lambda store: store.read_many([1, 2]),
    lambda store: store.freshness(),
    lambda store: store.erase(1),
    lambda store: store.write(rows({}), 1),
]


def _fails_soon(store: OnlineStore, folder: Path, calls: list[Ask] = EVERYTHING) -> None:
    for ask in calls:
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:\d+/0 failed: .+\. ") as caught:
            ask(store)
        assert "secret" not in str(caught.value)
    if len(calls) > 1:
        with pytest.raises(StorageError):
            _run(store, write_parts(folder, ENTITIES, 2))
    store.close()


def test_a_store_that_comes_back_is_used_again(
    store: OnlineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = write_parts(tmp_path, ENTITIES, 4)
    write, left = type(store).write, 2

    def failing(self: OnlineStore, *arguments: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise StorageError("away")
        return write(self, *arguments)

    monkeypatch.setattr(type(store), "write", failing)
    with pytest.raises(StorageError, match="away"):
        _run(store, parts, batch=25)
    left = 99
    assert _run(store, parts, batch=25).resumed == 2
    assert _held(store) == dict.fromkeys(ENTITIES, 1)


def test_dates_of_the_year_3021_pass_through_parts(store: OnlineStore, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, [100], 1, birthday=date(3021, 9, 18), loan_date=date(2300, 1, 1))
    assert _run(store, parts).freshness.newest == date(2300, 1, 1)
    row = store.read(100)
    assert row is not None
    assert (row.values["birthday"], row.as_of) == (date(3021, 9, 18), date(2300, 1, 1))
