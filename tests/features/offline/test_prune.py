"""Pruning the offline store: old snapshots go, whole and at one stroke; what the others share with them stays."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.child_process import python_command, run
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.paths import ROOT
from tests.support.snapshots import (
    assert_complete,
    build_snapshot,
    offline_store,
    read_sorted,
    snapshot_names,
)
from tests.support.write_crashes import crash_at_every_write

from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import STATES
from windlass.features.offline.store import OfflineStore, prune
from windlass.features.offline.training_set import SnapshotParts, training_rows

LOANS = make_loans(20, seed=31)
APPEND = BuildOptions(append=True)


Grown = Callable[[Path], OfflineStore]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """Copies, to a folder, a store of four snapshots, each on top of the one before: most of their parts are shared."""
    template = offline_store(tmp_path_factory.mktemp("grown"))
    build_snapshot(template, LOANS.head(-9), BuildOptions(buckets=4))
    for start in (9, 6, 3):
        build_snapshot(template, LOANS.tail(start).head(3), APPEND)

    def copy(folder: Path) -> OfflineStore:
        store = offline_store(folder)
        store.folder.parent.mkdir(parents=True)
        # `-a` keeps hard links among the copied files
        run(["cp", "-a", template.folder, store.folder.parent]).check()
        return store

    return copy


def numbers(store: OfflineStore) -> list[int]:
    return [snapshot.number for snapshot in store.snapshots()]


@pytest.mark.parametrize(
    ("keep", "needed", "gone"),
    [
        (5, (), []),
        (3, (), [1]),
        (2, (1,), [2]),
        (1, (2, 9), [3, 1]),
        (0, (), [3, 2, 1]),
        (0, (3, 2, 1), []),
    ],
)
def test_the_newest_the_current_and_the_needed_stay(
    grown: Grown, tmp_path: Path, keep: int, needed: tuple[int, ...], gone: list[int]
) -> None:
    store = grown(tmp_path)
    whole = read_sorted(store.snapshot().state_parts())
    assert prune(store, keep, needed) == gone
    assert numbers(store) == [number for number in (4, 3, 2, 1) if number not in gone]
    assert_complete(store)
    assert read_sorted(store.snapshot().state_parts()).equals(whole)
    assert prune(store, keep, needed) == []
    assert build_snapshot(store, LOANS.head(0), APPEND).number == 5


def test_a_torn_snapshot_counts_for_none_of_those_that_are_kept(
    grown: Grown, tmp_path: Path
) -> None:
    store = grown(tmp_path)
    for number in (1, 3):
        (store.snapshot(number).folder / "snapshot.json").write_text("{")
    assert prune(store, 2, ()) == [1]
    assert [folder.name for folder in store.snapshot_folders()] == ["000004", "000003", "000002"]


def test_where_nothing_is_or_the_current_is_torn_nothing_is_removed(
    grown: Grown, tmp_path: Path
) -> None:
    with pytest.raises(FeatureError, match="has no features yet"):
        prune(offline_store(tmp_path / "none"), 1, ())
    assert not (tmp_path / "none").exists()
    store = grown(tmp_path)
    with pytest.raises(FeatureError, match="Cannot keep -1"):
        prune(store, -1, ())
    (store.snapshot().folder / "snapshot.json").write_text("{")
    with pytest.raises(FeatureError, match="not a complete snapshot"):
        prune(store, 1, ())
    assert len(store.snapshot_folders()) == 4


def test_a_prune_during_a_build_is_refused(grown: Grown, tmp_path: Path) -> None:
    store = grown(tmp_path)
    with (
        store.write_lock(),
        pytest.raises(FeatureError, match="Another process is writing features"),
    ):
        prune(store, 1, ())
    assert numbers(store) == [4, 3, 2, 1]


def test_broken_off_at_any_write_each_snapshot_is_there_whole_or_gone(
    grown: Grown, tmp_path: Path
) -> None:
    store = grown(tmp_path)
    seen = []

    def look() -> None:
        assert_complete(store)
        seen.append(len(numbers(store)))

    assert crash_at_every_write(lambda: prune(store, 2, (1,)), look) > 3
    assert crash_at_every_write(lambda: prune(store, 1, ()), look) > 3
    assert seen == sorted(seen, reverse=True)
    assert numbers(store) == [4]
    tidy = grown(tmp_path / "tidy")
    prune(tidy, 1, ())
    assert snapshot_names(store) == snapshot_names(tidy)


def test_what_a_killed_prune_had_taken_away_goes_with_the_next_writer(
    grown: Grown, tmp_path: Path
) -> None:
    store = grown(tmp_path)
    code = (
        "import os, signal, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from tests.support.snapshots import offline_store\n"
        "from windlass.features.offline.store import OfflineStore\n"
        "from windlass.features.offline.store import prune\n"
        "class Killed(OfflineStore):\n"
        "    def detach(self, number, staging):\n"
        "        taken = super().detach(number, staging)\n"
        "        next(taken.glob('states/*')).unlink()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "store = offline_store(Path(sys.argv[1]))\n"
        "prune(Killed(store.folder, store.project), 2, ())\n"
    )
    ended = run(python_command(code, tmp_path), cwd=ROOT, warm=True)
    assert ended.code == -signal.SIGKILL, ended.err
    assert (store.folder / ".staging" / "000002" / "events").is_dir()
    assert numbers(store) == [4, 3, 1]
    assert_complete(store)
    assert prune(store, 2, ()) == [1]
    assert not (store.folder / ".staging").exists()


def test_a_reader_of_a_snapshot_that_is_pruned_meanwhile_gets_an_error(
    grown: Grown, tmp_path: Path
) -> None:
    store = grown(tmp_path)
    stored = SnapshotParts.open(store.snapshot(1), STATES)
    prune(store, 1, ())
    with pytest.raises(FeatureError, match="is gone: `windlass features prune` removes"):
        stored.rows()


def test_a_reader_of_a_pruned_snapshot_gets_an_error(grown: Grown, tmp_path: Path) -> None:
    store = grown(tmp_path)
    snapshot = store.snapshot(1)
    prune(store, 1, ())
    message = "is gone: `windlass features prune` removes"
    with pytest.raises(FeatureError, match=message):
        snapshot.verified_parts(STATES)
    with pytest.raises(FeatureError, match=message):
        training_rows(VIEW, PROJECT_VIEW, snapshot)
    with pytest.raises(FeatureError, match=message):
        point_in_time(PROJECT_VIEW, snapshot, LOANS.select("id", "loan_date"), "loan_date")
    with pytest.raises(FeatureError, match="has no snapshot 1; the newest is 4"):
        store.snapshot(1)
