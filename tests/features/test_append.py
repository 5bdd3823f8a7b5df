"""Appending: only what new events touch is computed again, and the result is that of building all at once."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.support.budget import IS_CI, examples
from tests.support.credit_view import CREDIT_VIEW, make_credit_loans
from tests.support.loan_view import FEATURES, VIEW, contract, make_loans
from tests.support.snapshots import ORDER, build_snapshot, offline_store, read_sorted

from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.snapshot import Snapshot

APPEND, TWO = BuildOptions(append=True), BuildOptions(buckets=2)
LOANS = make_loans(25, seed=11)
CREDIT_LOANS = make_credit_loans(12, seed=11).sample(LOANS.height, shuffle=True, seed=1)
Cuts = tuple[list[int], list[int]]


@st.composite
def cuts(draw: Callable[..., list[int]]) -> Cuts:
    """An order of all loans, and where it is cut into appends."""
    order = draw(st.permutations(range(LOANS.height)))
    positions = draw(
        st.lists(st.integers(1, LOANS.height - 1), unique=True, min_size=1, max_size=2)
    )
    return order, sorted(positions)


@pytest.mark.parametrize(
    ("view", "loans"),
    [(VIEW, LOANS), (CREDIT_VIEW, CREDIT_LOANS)],
    ids=["another view", "the example's"],
)
@examples(6 if IS_CI else 3)
@given(cuts())
def test_appends_in_any_order_equal_one_build(
    view: FeatureView, loans: pl.DataFrame, cut: Cuts
) -> None:
    order, positions = cut
    with TemporaryDirectory() as folder:
        whole = build_snapshot(offline_store(Path(folder) / "whole"), loans, TWO, view)
        store = offline_store(Path(folder) / "appended")
        for begin, end in pairwise([0, *positions, loans.height]):
            new = loans[order[begin:end]]
            options = TWO if begin == 0 else APPEND
            snapshot = build_snapshot(store, new, options, view)
            assert snapshot.recomputed == new["id"].n_unique()
        assert_equal_snapshots(snapshot, whole)


def assert_equal_snapshots(first: Snapshot, other: Snapshot) -> None:
    assert first.digest == other.digest
    assert_frame_equal(read_sorted(first.event_parts()), read_sorted(other.event_parts()))
    assert_frame_equal(read_sorted(first.state_parts()), read_sorted(other.state_parts()))
    latest = [read_sorted(each.latest_parts()).drop("computed_at") for each in (first, other)]
    assert_frame_equal(*latest)
    assert (first.events, first.entities, first.newest) == (
        other.events,
        other.entities,
        other.newest,
    )


def test_a_late_loan_corrects_history_and_leaves_the_others(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    client = LOANS.filter(pl.col("id") == LOANS["id"].mode()[0]).sort(ORDER)
    late = client.head(1)
    before = build_snapshot(
        store, LOANS.filter(pl.col("loan_id") != late["loan_id"][0]), BuildOptions(buckets=4)
    )
    after = build_snapshot(store, late, APPEND)
    assert (after.parent, after.recomputed) == (before.number, 1)
    old, new = read_sorted(before.state_parts()), read_sorted(after.state_parts())
    mine = pl.col("id") == late["id"][0]
    assert new.filter(mine)["nb_previous_loans"].to_list() == list(range(1, client.height + 1))
    assert_frame_equal(new.filter(~mine), old.filter(~mine))
    computed = read_sorted(after.latest_parts()).select("id", "computed_at")
    was = read_sorted(before.latest_parts()).select("id", "computed_at")
    assert computed.filter(~mine).equals(was.filter(~mine))
    assert computed.filter(mine)["computed_at"][0] > was.filter(mine)["computed_at"][0]


def test_untouched_parts_are_the_same_files(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, LOANS.filter(pl.col("loan_id") % 9 > 0), BuildOptions(buckets=8))
    new = LOANS.filter(pl.col("loan_id") % 9 == 0).filter(pl.col("id") == pl.col("id").first())
    after = build_snapshot(store, new, APPEND)
    for parts in ("event_parts", "state_parts", "latest_parts"):
        pairs = zip(getattr(before, parts)(), getattr(after, parts)(), strict=True)
        assert sum(part.samefile(other) for part, other in pairs) == 7
    assert sum(before.files[name] == after.files[name] for name in before.files) == 21


def test_appending_to_nothing_builds(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), LOANS, APPEND)
    assert (snapshot.number, snapshot.parent, snapshot.events) == (1, None, LOANS.height)


def test_appending_nothing_changes_nothing(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, LOANS)
    after = build_snapshot(store, LOANS.head(0), APPEND)
    assert (after.number, after.recomputed, after.digest) == (2, 0, before.digest)


def test_another_view_has_all_states_computed_anew(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS.head(60), BuildOptions(buckets=4))
    other = replace(VIEW, name="others")
    after = build_snapshot(store, LOANS.tail(LOANS.height - 60), APPEND, other)
    assert after.recomputed == after.entities
    assert after.view == other.record(FEATURES).version


def test_another_contract_wants_a_build_of_all(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, LOANS)
    fewer = replace(VIEW, contract=lambda: contract().remove_columns(["days_birth"]))
    with pytest.raises(FeatureError, match="Build again from all rows, without --append"):
        build_snapshot(store, LOANS.head(3), APPEND, fewer)
