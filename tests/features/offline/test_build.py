"""Building: a snapshot is whole, numbered, readable by anything, and the same whatever the engine's bounds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.support.loan_view import FEATURES, PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import ORDER, build_snapshot, offline_store, read_sorted

from windlass.errors import FeatureError, ProjectError
from windlass.features.engines.duckdb import features_of_file, history_of
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.store import OfflineStore, lock_folder
from windlass.settings import Settings

FOUR = BuildOptions(buckets=4)


def test_a_snapshot_says_what_it_holds(tmp_path: Path) -> None:
    store, loans = offline_store(tmp_path), make_loans(100, seed=1)
    snapshot = build_snapshot(store, loans, FOUR)
    assert snapshot == store.snapshot() == store.snapshot(1)
    assert (snapshot.number, snapshot.parent, snapshot.buckets) == (1, None, 4)
    assert (snapshot.events, snapshot.entities, snapshot.recomputed) == (loans.height, 100, 100)
    assert snapshot.newest == loans["loan_date"].max()
    assert snapshot.view == PROJECT_VIEW.version
    stored = read_sorted(snapshot.event_parts())
    assert_frame_equal(stored.drop("days_birth"), loans.sort(ORDER), check_column_order=False)


def test_parts_are_numbered_in_order(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), make_loans(100, seed=2), FOUR)
    parts = (snapshot.event_parts(), snapshot.state_parts(), snapshot.latest_parts())
    assert [len(part) for part in parts] == [4, 4, 4]
    for event_part, state_part, latest_part in zip(*parts, strict=True):
        assert event_part.name == state_part.name == latest_part.name
        rows, states = pl.read_parquet(event_part), pl.read_parquet(state_part)
        assert rows.select(ORDER).equals(states.select(ORDER))
        assert states.equals(states.sort(ORDER))
        last = states.group_by("id", maintain_order=True).last()
        latest = pl.read_parquet(latest_part)
        assert latest.select(states.columns).equals(last.select(states.columns))
        assert (latest["computed_at"] - snapshot.created).abs().max() < 60  # type: ignore[operator]


def test_snapshots_are_numbered_and_old_ones_stay(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    with pytest.raises(FeatureError, match="windlass features build"):
        store.snapshot()
    first = build_snapshot(store, make_loans(20, seed=1))
    build_snapshot(store, make_loans(30, seed=2))
    assert [snapshot.number for snapshot in store.snapshots()] == [2, 1]
    assert store.snapshot(1) == first
    assert (store.folder / "current").resolve() == store.snapshot().folder
    with pytest.raises(FeatureError, match="no snapshot 3; the newest is 2"):
        store.snapshot(3)


def test_the_same_rows_give_the_same_digest_in_any_order_and_form(tmp_path: Path) -> None:
    loans = make_loans(60, seed=3)
    file = tmp_path / "raw.csv"
    loans.sort("loan_amount").write_csv(file)
    first = build_snapshot(offline_store(tmp_path / "one"), loans, FOUR)
    other = build_snapshot(offline_store(tmp_path / "other"), file, replace(FOUR, memory="128MB"))
    assert first.digest == other.digest


def test_any_tool_reads_a_folder_in_one_line(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    loans = make_loans(60, seed=4)
    build_snapshot(store, loans, FOUR)
    current = store.folder / "current"
    by_pandas = pd.read_parquet(f"{current}/states")
    by_polars = pl.read_parquet(f"{current}/states")
    by_duckdb = duckdb.sql(f"SELECT * FROM '{current}/states/*.parquet'").to_arrow_table()
    assert len(by_pandas) == len(by_polars) == len(by_duckdb) == loans.height
    assert list(by_pandas.columns) == by_polars.columns == by_duckdb.column_names
    wanted = by_polars.sort(ORDER)
    assert_frame_equal(pl.DataFrame(pl.from_arrow(by_duckdb)).sort(ORDER), wanted)
    assert by_pandas["nb_previous_loans"].sum() == wanted["nb_previous_loans"].sum()
    assert by_pandas["job_start_date"].max().year == 3021


def test_one_build_at_a_time(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    store.folder.mkdir(parents=True)
    with lock_folder(store.folder), pytest.raises(FeatureError, match="Another process is writing"):
        build_snapshot(store, make_loans(5, seed=1))
    assert build_snapshot(store, make_loans(5, seed=1)).number == 1


def test_an_invalid_memory_limit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="'much' is not a memory limit"):
        build_snapshot(
            offline_store(tmp_path), tmp_path / "none.parquet", BuildOptions(memory="much")
        )


def test_too_little_memory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="Give it more memory with --memory"):
        build_snapshot(
            offline_store(tmp_path), make_loans(2000, seed=1), BuildOptions(memory="100KB")
        )


def _fails(loans: Any) -> Any:
    raise ValueError("no such column")


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (_fails, "ValueError: no such column"),
        (lambda loans: loans.select("id", "loan_date", "loan_id"), "gives no column nb_previous"),
        (lambda loans: VIEW.transform(loans).head(7), "gives other rows"),
    ],
)  # fmt: skip
def test_an_invalid_history_is_refused(tmp_path: Path, history: Any, message: str) -> None:
    store = offline_store(tmp_path)
    with pytest.raises(FeatureError, match=message):
        build_snapshot(store, make_loans(20, seed=1), view=replace(VIEW, transform=history))
    assert store.current() is None
    assert not (store.folder / ".staging").exists()


@pytest.mark.parametrize("name", ["bucket", "row", "key", "late", "computed_at", 'a"b'])
def test_a_column_of_any_other_name_is_kept(tmp_path: Path, name: str) -> None:
    loans = make_loans(20, seed=1).with_columns(pl.lit(7, pl.Int64).alias(name))
    view = replace(VIEW, contract=lambda: with_column(name))
    store = offline_store(tmp_path)
    build_snapshot(store, loans.head(-5), FOUR, view)
    whole = build_snapshot(store, loans.tail(5), BuildOptions(append=True), view)
    assert read_sorted(whole.event_parts())[name].to_list() == [7] * loans.height


def test_names_that_the_store_uses_itself_are_refused(tmp_path: Path) -> None:
    loans, store = make_loans(5, seed=1), offline_store(tmp_path)
    with pytest.raises(ProjectError, match="a column __row__, and names that begin with __"):
        build_snapshot(store, loans, view=replace(VIEW, contract=lambda: with_column("__row__")))
    raw = tmp_path / "raw.parquet"
    loans.write_parquet(raw)
    for name in ("computed_at", "loan_date", "id", "__at__"):
        record = VIEW.record((*FEATURES, name))
        with pytest.raises(FeatureError, match=f"keeps a column {name}, and a state has"):
            build(VIEW, record, store, raw, FOUR, lambda *_: None)


def with_column(name: str) -> Any:
    """The contract of loans, and one column more."""
    import pandera.polars as pa

    return VIEW.contract().add_columns({name: pa.Column(pl.Int64, nullable=True)})


def test_the_old_names_of_documented_functions_still_work(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.warns(DeprecationWarning, match="OfflineStore.of is now called"):
        store = OfflineStore.of(settings, "loans")
    assert store.folder == OfflineStore.from_settings(settings, "loans").folder
    file = tmp_path / "raw.parquet"
    make_loans(20, seed=1).write_parquet(file)
    with pytest.warns(DeprecationWarning, match="history_of is now called features_of_file"):
        features = history_of(VIEW, PROJECT_VIEW, file)
    assert features.equals(features_of_file(VIEW, PROJECT_VIEW, file))
