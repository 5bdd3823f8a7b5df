from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from tests.support.loan_view import VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions

ORDER = ("loan_date", "loan_id")
AMOUNT = nw.col("loan_amount")
LOOKING_AHEAD = {
    "the next amount": AMOUNT.shift(-1).over("id", order_by=ORDER),
    "the client's total": AMOUNT.sum().over("id"),
    "the mean of all": AMOUNT.mean(),
    "the largest of all": AMOUNT.max(),
    "a rank among all": AMOUNT.rank("min").over("code_gender"),
    "all before, whoever's": AMOUNT.cum_sum().over(order_by=ORDER),
    "the last of the client": AMOUNT.max().over("id"),
    "the rest of the day": AMOUNT.sum().over("id", "loan_date"),
}


def _view(feature: Any) -> Any:
    """The view of loans, with another average."""

    def transform(loans: Any) -> Any:
        ahead = loans.with_columns(__ahead__=feature).select("loan_id", "__ahead__")
        states = VIEW.transform(loans).drop("avg_amount_loans_previous")
        joined = states.join(ahead, on="loan_id", how="inner")
        return joined.rename({"__ahead__": "avg_amount_loans_previous"})

    return replace(VIEW, transform=transform)


@pytest.fixture(scope="module")
def loans() -> pl.DataFrame:
    """Loans of clients, several of them on one day."""
    return make_loans(150, seed=1)


@pytest.mark.parametrize("name", LOOKING_AHEAD)
def test_a_view_that_looks_ahead_is_refused(tmp_path: Path, loans: pl.DataFrame, name: str) -> None:
    store = offline_store(tmp_path)
    message = (
        r"View \w+ looks ahead: avg_amount_loans_previous of id \d+ is [\d.]+ after event \d+ of "
    )
    with pytest.raises(FeatureError, match=message):
        build_snapshot(store, loans, view=_view(LOOKING_AHEAD[name]))
    assert store.current() is None


@pytest.mark.parametrize(
    "feature",
    [
        AMOUNT,
        AMOUNT.shift(1).over("id", order_by=ORDER),
        (AMOUNT - 500).cum_sum().over("id", order_by=ORDER),
        AMOUNT.rolling_mean(3, min_samples=1).over("id", order_by=ORDER),
        nw.col("id") % 7,
    ],
)
def test_what_was_known_at_the_event_is_built(
    tmp_path: Path, loans: pl.DataFrame, feature: Any
) -> None:
    assert (
        build_snapshot(offline_store(tmp_path), loans, view=_view(feature)).events == loans.height
    )


def test_an_append_is_checked_too(tmp_path: Path, loans: pl.DataFrame) -> None:
    """Only clients with new loans are computed again: a count of all rows differs from what it was."""
    store, view = (
        offline_store(tmp_path),
        _view(nw.when(AMOUNT > 1e6).then(AMOUNT.sum().over("id")).otherwise(1.0)),
    )
    build_snapshot(store, loans[:500], view=view)
    extra = loans[500:600].with_columns(loan_amount=pl.lit(2e6))
    again = pl.concat([extra, extra.with_columns(pl.col("loan_id") + 100_000)])
    with pytest.raises(FeatureError, match="looks ahead"):
        build_snapshot(store, again, BuildOptions(append=True), view=view)
    assert store.snapshot().number == 1


def test_one_client_with_one_loan_is_built(tmp_path: Path, loans: pl.DataFrame) -> None:
    assert build_snapshot(offline_store(tmp_path), loans[:1]).events == 1
