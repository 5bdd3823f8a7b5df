"""A snapshot's parts are what they were when they were written, or they are not read."""

from pathlib import Path

import polars as pl
import pytest
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import erase
from windlass.features.offline.parts import bucket_of
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import EVENTS, LATEST, STATES
from windlass.features.offline.training_set import training_rows

LOANS = make_loans(10, seed=9)
KINDS = (EVENTS, STATES, LATEST)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_edited_by_hand_is_refused(tmp_path: Path, kind: str) -> None:
    store = offline_store(tmp_path)
    snapshot = build_snapshot(store, LOANS)
    part = snapshot.folder / kind / "part-000.parquet"
    pl.read_parquet(part).head(-1).write_parquet(part)
    message = f"{kind}/part-000.parquet is not as snapshot 1 was built"
    with pytest.raises(FeatureError, match=message):
        snapshot.verified_parts(kind)
    with pytest.raises(FeatureError, match=message):
        build_snapshot(store, LOANS.head(0), BuildOptions(append=True))
    if kind != LATEST:
        with pytest.raises(FeatureError, match=message):
            training_rows(VIEW, PROJECT_VIEW, snapshot)
    if kind == STATES:
        with pytest.raises(FeatureError, match=message):
            point_in_time(PROJECT_VIEW, snapshot, LOANS.select("id", "loan_date"), "loan_date")


def test_a_join_looks_at_the_parts_that_it_reads(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), LOANS, BuildOptions(buckets=2))
    bad = snapshot.state_parts()[1]
    altered = bytearray(bad.read_bytes())
    altered[len(altered) // 2] ^= 1
    bad.write_bytes(altered)
    labels = LOANS.select("id", "loan_date")
    buckets = bucket_of(labels.select("id"), 2)
    good = labels.filter(buckets == 0)
    assert point_in_time(PROJECT_VIEW, snapshot, good, "loan_date").num_rows == good.height > 0
    with pytest.raises(
        FeatureError, match=r"states/part-001\.parquet is not as snapshot 1 was built"
    ):
        point_in_time(PROJECT_VIEW, snapshot, labels, "loan_date")


def test_a_part_too_many_or_too_few_is_refused(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), LOANS)
    (part,) = snapshot.latest_parts()
    part.rename(part.with_name("part-007.parquet"))
    with pytest.raises(FeatureError, match="latest/part-000"):
        snapshot.verified_parts(LATEST)


def test_an_erasure_is_no_edit(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    snapshot = build_snapshot(store, LOANS)
    erase(store, int(LOANS["id"][0]))
    for kind in KINDS:
        assert len(snapshot.verified_parts(kind)) == 1
