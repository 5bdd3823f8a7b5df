"""What training reads: what was known before each loan, beside the loan itself."""

import sys
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from math import floor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.support.credit_view import CREDIT_VIEW, make_credit_loans
from tests.support.loan_view import FEATURES, PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import ORDER, build_snapshot, offline_store

from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError
from windlass.features.engines.duckdb import features_of_file
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import erase
from windlass.features.offline.training_set import training_rows

BRIEF = replace(VIEW, ttl=timedelta(days=120))


def expected_rows(loans: pl.DataFrame, view: FeatureView) -> list[dict[str, Any]]:
    """The features of every loan, one after the other, in plain Python, by time and key."""
    record, before = view.record(FEATURES), defaultdict[int, list[dict[str, Any]]](list)
    rows = []
    for loan in loans.sort("loan_date", "loan_id").to_dicts():
        car = {"Y": 1, "N": 0, None: None}[loan["flag_own_car"]]
        state = loan | {
            "flag_own_car": car,
            "nb_previous_loans": 0,
            "avg_amount_loans_previous": None,
        }
        older_loans = before[loan["id"]]
        if older_loans:
            state |= {
                "nb_previous_loans": len(older_loans),
                "avg_amount_loans_previous": expected_average(
                    view, [older["loan_amount"] for older in older_loans]
                ),
            }
            if view.ttl and loan["loan_date"] - older_loans[-1]["loan_date"] > view.ttl:
                state = dict.fromkeys(record.stored_columns)
        rows.append(record.features_on(state, loan["loan_date"]))
        older_loans.append(loan)
    return rows


def expected_average(view: FeatureView, amounts: list[float]) -> float:
    """Of amounts; the example's view takes them to whole millionths first."""
    if view is not CREDIT_VIEW:
        return sum(amounts) / len(amounts)
    return sum(floor(amount * 1e6 + 0.5) for amount in amounts) / (len(amounts) * 10**6)


def make_loans_for(view: FeatureView) -> pl.DataFrame:
    return make_credit_loans(40, seed=4) if view is CREDIT_VIEW else make_loans(80, seed=4)


@pytest.mark.parametrize(
    "view", [VIEW, BRIEF, CREDIT_VIEW], ids=["lasting", "brief", "the example's"]
)
@pytest.mark.parametrize("buckets", [1, 4])
def test_every_loan_has_what_was_known_before_it(
    tmp_path: Path, view: FeatureView, buckets: int
) -> None:
    snapshot = build_snapshot(
        offline_store(tmp_path), make_loans_for(view), BuildOptions(buckets=buckets), view
    )
    loans = pl.read_parquet(snapshot.event_parts())  # of the contract's types
    rows = training_rows(view, view.record(FEATURES), snapshot)
    assert rows.select(FEATURES).to_dicts() == expected_rows(loans, view)
    own = loans.sort("loan_date", "loan_id").drop("flag_own_car")
    assert_frame_equal(rows.select(own.columns), own)


def test_the_first_loan_has_the_declared_defaults(tmp_path: Path) -> None:
    rows = training_rows(
        VIEW, PROJECT_VIEW, build_snapshot(offline_store(tmp_path), make_loans(30, seed=5))
    )
    first = rows.sort(ORDER).group_by("id", maintain_order=True).first()
    assert first["nb_previous_loans"].to_list() == [0] * 30
    assert first["avg_amount_loans_previous"].null_count() == 30
    assert first["age"].null_count() == 0
    assert set(first["flag_own_car"]) == {0, 1, None}


@pytest.mark.parametrize("view", [VIEW, CREDIT_VIEW], ids=["another view", "the example's"])
def test_polars_on_the_whole_raw_file_gives_what_duckdb_gives(
    tmp_path: Path, view: FeatureView
) -> None:
    loans, record = make_loans_for(view), view.record(FEATURES)
    rows = training_rows(view, record, build_snapshot(offline_store(tmp_path), loans, view=view))
    file = tmp_path / "raw.parquet"
    loans.with_columns(pl.col(pl.Date).cast(pl.String)).write_parquet(file)
    history = pl.DataFrame(pl.from_arrow(features_of_file(view, record, file)))
    assert_frame_equal(history, rows.sort(ORDER).select(history.columns), check_exact=True)


def test_a_snapshot_of_another_view_is_refused(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), make_loans(3, seed=1))
    with pytest.raises(FeatureError, match="was computed by version"):
        training_rows(BRIEF, BRIEF.record(FEATURES), snapshot)


def test_a_snapshot_that_changes_while_it_is_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = offline_store(tmp_path)
    snapshot = build_snapshot(store, make_loans(10, seed=1))

    def read_and_erase(parts: list[Path], _: None) -> pl.DataFrame:
        read = pl.read_parquet(parts)
        erase(store, 103)
        return read

    monkeypatch.setattr(sys.modules[training_rows.__module__], "read_parts", read_and_erase)
    with pytest.raises(FeatureError, match="changed while it was read"):
        training_rows(VIEW, PROJECT_VIEW, snapshot)
