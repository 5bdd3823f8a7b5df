"""The symbolic link to the current snapshot: damage to it loses no whole snapshot."""

import logging
import shutil
from pathlib import Path

import pytest
from tests.support.loan_view import make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.errors import FeatureError
from windlass.features.offline.store import OfflineStore

LOANS = make_loans(10, seed=8)


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """A store of two snapshots."""
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    build_snapshot(store, LOANS)
    return store


def numbers(store: OfflineStore) -> list[int]:
    return [snapshot.number for snapshot in store.snapshots()]


@pytest.mark.parametrize("target", [None, "snapshots/000009", "nonsense"])
def test_a_lost_link_is_mended_and_nothing_removed(
    store: OfflineStore, target: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    current = store.folder / "current"
    current.unlink()
    if target:
        current.symlink_to(target)
    assert (store.snapshot().number, numbers(store)) == (2, [2, 1])
    with pytest.raises(FeatureError), store.write_lock():
        raise FeatureError("refused")
    assert current.resolve() == store.snapshot(2).folder
    assert caplog.records[-1].levelno == logging.WARNING
    assert "ln -sfn snapshots/000002 current" in caplog.text
    assert build_snapshot(store, LOANS).number == 3
    assert numbers(store) == [3, 2, 1]


def test_a_folder_in_place_of_the_link_is_refused(store: OfflineStore) -> None:
    current = store.folder / "current"
    current.unlink()
    shutil.copytree(store.snapshot(2).folder, current)
    with pytest.raises(
        FeatureError, match="Move it elsewhere, then run `ln -sfn snapshots/000002 cur"
    ):
        build_snapshot(store, LOANS)
    assert numbers(store) == [2, 1]
    shutil.rmtree(current)
    assert build_snapshot(store, LOANS).number == 3


def test_without_a_link_a_torn_snapshot_is_passed_over_and_kept(store: OfflineStore) -> None:
    (store.folder / "current").unlink()
    torn = store.snapshot(2).folder
    (torn / "snapshot.json").write_text("{")
    assert (store.snapshot().number, numbers(store)) == (1, [1])
    assert build_snapshot(store, LOANS).number == 3
    assert torn.is_dir()


@pytest.mark.parametrize(("fact", "value"), [('"buckets": 1', 0), ('"number": 2', 1)])
def test_a_snapshot_of_impossible_facts_is_none(store: OfflineStore, fact: str, value: int) -> None:
    file = store.snapshot().folder / "snapshot.json"
    content = file.read_text()
    assert fact in content
    file.write_text(content.replace(fact, f"{fact[:-1]}{value}"))
    with pytest.raises(FeatureError, match="is not a complete snapshot"):
        store.snapshot()
