"""A build or an erasure that is broken off at any write leaves whole snapshots, and the next one goes on."""

import signal
from pathlib import Path

import polars as pl
import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import python_command, run, run_python
from tests.support.loan_view import make_loans
from tests.support.paths import ROOT
from tests.support.snapshots import (
    assert_complete,
    build_snapshot,
    offline_store,
    read_sorted,
    snapshot_names,
)
from tests.support.write_crashes import crash_at_every_write

from windlass.core.atomic_files import translate_disk_errors
from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import ErasedEntities, erase, undo_erasure

LOANS = make_loans(20, seed=1)
FIRST, SECOND = LOANS.head(60), LOANS.tail(-60)
APPEND = BuildOptions(append=True)


def test_a_build_broken_off_leaves_the_old_snapshot_or_the_new(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST)
    SECOND.write_parquet(tmp_path / "raw.parquet")
    seen = []

    def work() -> None:
        if (
            store.snapshot().number == 1
        ):  # another crash may have come after the last write that counts
            build_snapshot(store, tmp_path / "raw.parquet", APPEND)

    def look() -> None:
        assert_complete(store)
        seen.append(store.snapshot().number)

    assert crash_at_every_write(work, look, stride=1 if IS_CI else 3) > 20
    assert seen == sorted(seen)
    assert read_sorted(store.snapshot().event_parts()).height == LOANS.height
    build_snapshot(store, LOANS)
    assert [snapshot.number for snapshot in store.snapshots()] == [3, 2, 1]
    tidy = offline_store(tmp_path / "tidy")
    build_snapshot(tidy, FIRST)
    build_snapshot(tidy, tmp_path / "raw.parquet", APPEND)
    build_snapshot(tidy, LOANS)
    assert snapshot_names(store) == snapshot_names(tidy)


def test_an_erasure_broken_off_is_completed_by_the_next(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST, BuildOptions(buckets=2))
    build_snapshot(store, SECOND, APPEND)
    before = snapshot_names(store)

    def look() -> None:
        for snapshot in store.snapshots():
            for parts in (snapshot.event_parts(), snapshot.state_parts(), snapshot.latest_parts()):
                assert pl.read_parquet(parts).filter(pl.col("id") != 103).height > 0

    assert crash_at_every_write(lambda: erase(store, 103), look) > 10
    assert_complete(store)
    for snapshot in store.snapshots():
        assert 103 not in pl.read_parquet(snapshot.event_parts())["id"]
        assert pl.read_parquet(snapshot.latest_parts()).height == snapshot.entities
    assert snapshot_names(store) == sorted([*before, "erased.json"])


def test_an_interrupted_undo_leaves_the_erasure_whole_or_undone(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST)
    for entity in (103, 104):
        erase(store, entity)
    entities = pl.DataFrame({"id": [103, 104]})
    seen = []
    undone = crash_at_every_write(
        lambda: undo_erasure(store, 103),
        lambda: seen.append(ErasedEntities.read(store.folder).erased_in(entities)["id"].to_list()),
    )
    assert undone > 3
    assert all(104 in erased for erased in seen)
    assert ErasedEntities.read(store.folder).erased_in(entities)["id"].to_list() == [104]


def test_a_process_killed_before_the_new_snapshot_is_the_current_one(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, FIRST)
    code = (
        "import os, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from tests.support.snapshots import build_snapshot, offline_store\n"
        f"Path.replace = lambda *_: os.kill(os.getpid(), {signal.SIGKILL.value})\n"
        "build_snapshot(offline_store(Path(sys.argv[1])), Path(sys.argv[2]))\n"
    )
    raw = tmp_path / "raw.parquet"
    LOANS.write_parquet(raw)
    ended = run(python_command(code, tmp_path, raw), cwd=ROOT, warm=True)
    assert ended.code == -signal.SIGKILL, ended.err
    assert (store.folder / ".staging").exists()
    assert store.snapshot() == before
    assert [snapshot.number for snapshot in store.snapshots()] == [1]
    assert build_snapshot(store, raw).events == LOANS.height
    assert not (store.folder / ".staging").exists()


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, FIRST)
    raw = tmp_path / "raw.parquet"
    make_loans(4000, seed=3).write_parquet(raw)
    code = (
        "import resource, signal, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from tests.support.snapshots import build_snapshot, offline_store\n"
        "from windlass.errors import FeatureError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for most in (2000, 150000, 300000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, -1))\n"
        "    try:\n"
        "        build_snapshot(offline_store(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "    except FeatureError as error:\n"
        "        print(error)\n"
    )
    errors = run_python(code, tmp_path, raw, warm=True).splitlines()
    assert len(errors) == 3
    assert all(" written " in line and "File too large" in line for line in errors), errors
    assert store.snapshot() == before
    assert not (store.folder / ".staging").exists()


def test_an_error_of_the_disk_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(FeatureError, match=r"Name a folder that can be written with WINDLASS_HOME"),
        translate_disk_errors(FeatureError, "Features cannot be written", tmp_path),
    ):
        raise OSError(30, "Read-only file system", "/there")
