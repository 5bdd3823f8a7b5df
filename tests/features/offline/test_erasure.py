"""Erasing an entity: gone from every snapshot and from quarantine, and no build brings it back."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store, read_sorted

from windlass.errors import FeatureError, QualityError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import (
    ErasedEntities,
    ErasureReport,
    erase,
    numbers_in,
    undo_erasure,
)
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.training_set import training_rows
from windlass.features.online.materialise import materialise
from windlass.features.online.store import online_store
from windlass.settings import Settings

LOANS = make_loans(30, seed=21)
CLIENT = 105
MINE = pl.col("id") == CLIENT
APPEND = BuildOptions(append=True)
LAX = replace(VIEW, max_invalid_share=1.0)


def files_with_client(store: OfflineStore) -> list[str]:
    """Every table below the store that holds the client, be it under another name."""
    files = []
    for file in store.folder.rglob("*.parquet"):
        frame = pl.read_parquet(file)
        held = (
            frame["id"] == CLIENT
            if "id" in frame.columns
            else frame["entity"].str.contains(f"{CLIENT}")
        )
        if held.any():
            files.append(str(file.relative_to(store.folder)))
    return files


def test_an_entity_is_gone_from_everywhere(tmp_path: Path) -> None:
    store, raw = offline_store(tmp_path), tmp_path / "raw.csv"
    build_snapshot(store, LOANS.filter(pl.col("loan_id") % 2 == 0), BuildOptions(buckets=4))
    build_snapshot(store, LOANS.filter(pl.col("loan_id") % 2 == 1), APPEND)
    doubled = LOANS.filter(MINE).head(2).with_columns(pl.format("{}.0", "id").alias("id"))
    doubled.write_csv(raw)
    build_snapshot(store, raw, APPEND, LAX)
    (store.folder / "raw.parquet").unlink()
    assert len(files_with_client(store)) == 3 * 3 + 1
    before = store.snapshots()
    count = LOANS.filter(MINE).height
    first = LOANS.filter(MINE & (pl.col("loan_id") % 2 == 0)).height
    erased = erase(store, CLIENT)
    assert erased == ErasureReport({3: count, 2: count, 1: first}, 2)
    assert files_with_client(store) == []
    for old, new in zip(before, store.snapshots(), strict=True):
        assert new.events == old.events - erased.snapshots[old.number]
        assert new.entities == old.entities - 1
        assert new.digest != old.digest
        assert len(new.erasures) == 1
    after = store.snapshots()
    assert erase(store, CLIENT) == ErasureReport({}, 0)
    assert store.snapshots() == after


def test_the_others_stay_and_files_stay_shared(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, LOANS, BuildOptions(buckets=2))
    build_snapshot(store, LOANS.head(0), APPEND)
    events_, states = read_sorted(before.event_parts()), read_sorted(before.state_parts())
    erase(store, CLIENT)
    for part, other in zip(
        store.snapshot(1).event_parts(), store.snapshot(2).event_parts(), strict=True
    ):
        assert part.samefile(other)
    assert read_sorted(store.snapshot(1).event_parts()).equals(events_.filter(~MINE))
    assert read_sorted(store.snapshot(2).state_parts()).equals(states.filter(~MINE))


def test_no_later_build_brings_an_erased_entity_back(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    erase(store, CLIENT)
    bad = LOANS.with_columns(loan_amount=pl.when(MINE).then(-1.0).otherwise("loan_amount"))
    for loans in (LOANS, bad):
        snapshot = build_snapshot(store, loans, view=LAX)
        assert snapshot.quality["erased"] == LOANS.filter(MINE).height
        assert snapshot.quality["quarantined"] == 0
        assert snapshot.entities == 29
        assert CLIENT not in pl.read_parquet(snapshot.event_parts())["id"]
    late = LOANS.filter(MINE).with_columns(pl.col("loan_id") + 10_000)
    assert build_snapshot(store, late, APPEND).entities == 29


def test_the_erased_are_stored_as_hashes(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    erase(store, CLIENT)
    erase(store, 106)
    other = offline_store(tmp_path / "other")
    build_snapshot(other, LOANS)
    erase(other, CLIENT)
    erased, elsewhere = (
        json.loads((item.folder / "erased.json").read_bytes()) for item in (store, other)
    )
    assert len(erased["hashes"]) == 2
    assert all(len(item) == 32 for item in erased["hashes"])
    assert not set(erased["hashes"]) & set(elsewhere["hashes"])


def test_an_erasure_undone_lets_the_next_build_hold_it_and_the_others_not(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    assert undo_erasure(store, CLIENT) is False
    assert not store.folder.exists()
    build_snapshot(store, LOANS)
    for entity in (CLIENT, 106):
        erase(store, entity)
    assert undo_erasure(store, CLIENT) is True
    assert undo_erasure(store, CLIENT) is False
    assert undo_erasure(store, 107) is False
    assert CLIENT not in pl.read_parquet(store.snapshot().event_parts())["id"]
    anew = pl.read_parquet(build_snapshot(store, LOANS).event_parts())
    assert anew.filter(MINE).height == LOANS.filter(MINE).height
    assert 106 not in anew["id"]
    with store.write_lock(), pytest.raises(FeatureError, match="Another process is writing"):
        undo_erasure(store, 106)


def test_a_list_of_the_erased_left_by_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".erased.json.99999999.part").write_text("{")
    ErasedEntities.read(tmp_path).add(tmp_path, CLIENT)
    assert [file.name for file in tmp_path.iterdir()] == ["erased.json"]


def test_an_id_is_found_in_cells_that_are_written_amiss() -> None:
    for cell in ("105", " 105", "0105", "105.0", "id 105", "x,105,F", "1.05e2", "1 05"):
        assert 105 in numbers_in(cell)
    assert 105 not in numbers_in("1055")
    assert -3 in numbers_in("-3")
    assert not list(numbers_in(None))
    assert not set(numbers_in("9" * 5_000)) | set(numbers_in("nan"))
    assert set(numbers_in("1e400")) == {1, 400}


def test_an_erasure_covers_the_rows_of_a_refused_build(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    with pytest.raises(QualityError):
        build_snapshot(store, LOANS.with_columns(loan_amount=pl.lit(-1.0)))
    refused = store.folder / "refused.parquet"
    mine = LOANS.filter(MINE).height
    assert erase(store, CLIENT).quarantined == mine
    assert pl.read_parquet(refused).height == LOANS.height - mine


@pytest.mark.parametrize(
    "file", ["snapshot.json", "events/part-000.parquet", "latest/part-000.parquet"]
)
def test_what_cannot_be_read_is_reported_and_blocks_nothing(tmp_path: Path, file: str) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    torn = build_snapshot(store, LOANS).folder
    (torn / file).write_bytes((torn / file).read_bytes()[:40])
    count = LOANS.filter(MINE).height
    erased = erase(store, CLIENT)
    assert (erased.snapshots[1], erased.unreadable) == (count, (torn,))
    assert CLIENT not in pl.read_parquet(store.snapshot(1).event_parts())["id"]


def test_a_torn_quarantine_is_reported_and_blocks_nothing(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    snapshot = build_snapshot(store, LOANS)
    (snapshot.folder / "quarantine" / "part-000001.parquet").write_bytes(b"")
    refused = store.folder / "refused.parquet"
    refused.write_bytes(b"PAR1")
    erased = erase(store, CLIENT)
    assert erased.snapshots == {1: LOANS.filter(MINE).height}
    assert erased.unreadable == tuple(sorted((refused, snapshot.folder)))


def test_an_impossible_id_is_refused_and_not_stored(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    for entity in (2**63, -(2**63) - 1):
        with pytest.raises(FeatureError, match="integer of 64 bits"):
            erase(store, entity)
    assert not (store.folder / "erased.json").exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"salt": "no hex", "hashes": []}'])
def test_an_invalid_list_of_the_erased_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "erased.json").write_text(content)
    with pytest.raises(
        FeatureError, match=r"erased\.json cannot be read, and it names who was erased"
    ):
        ErasedEntities.read(tmp_path)


def restore_copy(store: OfflineStore) -> Snapshot:
    """A snapshot of who was erased, as an erasure leaves it that was killed before it began."""
    snapshot = build_snapshot(store, LOANS, BuildOptions(buckets=2))
    ErasedEntities.read(store.folder).add(store.folder, CLIENT)
    return snapshot


@pytest.mark.parametrize("new", [LOANS.head(0), LOANS.filter(pl.col("id") == 106)])
def test_an_append_takes_over_no_erased_entity(tmp_path: Path, new: pl.DataFrame) -> None:
    store = offline_store(tmp_path)
    restore_copy(store)
    late = new.with_columns(pl.col("loan_id") + 10_000)
    after = build_snapshot(store, late, APPEND)
    for parts in (after.event_parts(), after.state_parts(), after.latest_parts()):
        assert CLIENT not in pl.read_parquet(parts)["id"]
    rest = pl.concat([LOANS.filter(~MINE), late])
    whole = build_snapshot(offline_store(tmp_path / "whole"), rest, BuildOptions(buckets=2))
    assert (after.digest, after.entities) == (whole.digest, 29)
    assert after.recomputed == late["id"].n_unique()


def test_training_joins_and_the_online_store_read_no_erased_entity(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    snapshot = restore_copy(store)
    rows = training_rows(VIEW, PROJECT_VIEW, snapshot)
    assert rows.height == LOANS.filter(~MINE).height
    labels = LOANS.select("id", day=pl.lit(date(2024, 1, 1)))
    joined = pl.DataFrame(pl.from_arrow(point_in_time(PROJECT_VIEW, snapshot, labels, "day")))
    assert joined.filter(MINE)["nb_previous_loans"].null_count() == LOANS.filter(MINE).height
    assert joined.filter(~MINE)["nb_previous_loans"].null_count() == 0
    online = online_store(Settings(home=tmp_path), PROJECT_VIEW, "loans")
    parts = snapshot.latest_parts()
    done = materialise(online, PROJECT_VIEW, parts, snapshot, lambda *_: None)
    stored = online.read_many([CLIENT, 106])
    online.close()
    assert (stored[0], done.rows) == (None, 29)
    assert stored[1] is not None
