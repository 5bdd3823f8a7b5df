"""A history replayed: what the online store would have answered then is what training reads now, for every loan.

The store answers twice: before a loan is stored, for the client's next event, and after it, for the latest.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.budget import IS_CI
from tests.support.credit_view import CREDIT_VIEW, SAMPLE, make_credit_loans
from tests.support.loan_view import FEATURES, VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.core.feature_view import FeatureView
from windlass.features.engines.duckdb import run_transform
from windlass.features.offline.parts import normalise_states, sort_columns, sort_rows
from windlass.features.offline.snapshot import BEFORE_EVENT
from windlass.features.offline.training_set import states_before, training_rows
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import online_store
from windlass.settings import Settings

CLIENTS = 20 if IS_CI else 10


def sample_file(folder: Path) -> Path:
    if not SAMPLE.exists():
        pytest.skip(f"{SAMPLE} is not here")
    loans, file = pl.read_csv(SAMPLE), folder / "sample.csv"
    clients = loans["id"].unique().sort()
    loans.filter(pl.col("id").is_in([*clients.head(CLIENTS - 5), *clients.tail(5)])).write_csv(file)
    return file


def loan_file(folder: Path) -> Path:
    file = folder / "loans.parquet"
    make_loans(CLIENTS + 5, seed=31).write_parquet(file)
    return file


def credit_file(folder: Path) -> Path:
    file = folder / "loans.parquet"
    make_credit_loans(CLIENTS, seed=31).write_parquet(file)
    return file


def daily_batches(loans: pl.DataFrame) -> Iterator[tuple[date, pl.DataFrame]]:
    """The loans day by day, and within a day a client's loans one after the other."""
    nth = pl.int_range(pl.len()).over("id", "loan_date").alias("nth")
    for _, today in (
        loans.sort("loan_date", "loan_id")
        .with_columns(nth)
        .group_by("loan_date", "nth", maintain_order=True)
    ):
        yield today["loan_date"][0], today.drop("nth")


def states_after(view: FeatureView, loans: pl.DataFrame) -> pl.DataFrame:
    """The newest states of clients, computed from these loans and no others, by Polars and not by DuckDB."""
    record = view.record(FEATURES)
    states = normalise_states(run_transform(view, loans.lazy()).collect(), record)
    states = sort_rows(states, sort_columns(record))
    before = states_before(view, record, states).select(record.stored_columns)
    states = states.with_columns(before.to_struct(BEFORE_EVENT), computed_at=pl.lit(0.0))
    return states.unique("id", keep="last")


@pytest.mark.parametrize(
    ("view", "raw"),
    [(VIEW, loan_file), (CREDIT_VIEW, credit_file), (CREDIT_VIEW, sample_file)],
    ids=["another view", "the example's", "the example's, on real loans"],
)
def test_training_reads_the_features_that_serving_answered(
    tmp_path: Path, view: FeatureView, raw: Any
) -> None:
    record = view.record(FEATURES)
    snapshot = build_snapshot(offline_store(tmp_path), raw(tmp_path), view=view)
    loans = pl.read_parquet(snapshot.event_parts())
    training = {row["loan_id"]: row for row in training_rows(view, record, snapshot).to_dicts()}
    online = online_store(Settings(home=tmp_path), record, "loans")
    now = date.min
    reader = FeatureReader(record, online, today=lambda: now)
    first = later = 0
    for day, batch in sorted(daily_batches(loans), key=lambda item: item[0]):
        now = day
        clients = batch["id"].to_list()
        answers = reader.get_many(clients, at="next")
        for loan, answer in zip(batch.to_dicts(), answers, strict=True):
            read = {name: training[loan["loan_id"]][name] for name in FEATURES}
            if answer is None:  # nobody knew the client: what the form says is all there is
                first += 1
                car = {"Y": 1, "N": 0, None: None}[loan["flag_own_car"]]
                form = loan | {"flag_own_car": car, "nb_previous_loans": 0}
                assert read == record.features_on(form | {"avg_amount_loans_previous": None}, day)
            else:
                later += 1
                assert answer.values == read
        so_far = loans.filter(pl.col("id").is_in(batch["id"].implode()))
        upto = batch.select("id", upto="loan_id")
        so_far = so_far.join(upto, on="id").filter(
            (pl.col("loan_date") < day)
            | ((pl.col("loan_date") == day) & (pl.col("loan_id") <= pl.col("upto")))
        )
        online.write(states_after(view, so_far.drop("upto")).to_arrow(), 1)
        for loan, answer in zip(batch.to_dicts(), reader.get_many(clients, "latest"), strict=True):
            assert answer is not None
            assert answer.values == {name: training[loan["loan_id"]][name] for name in FEATURES}
        served = reader.get_many(clients, at=view.serves)
        assert reader.get_many(clients) == served
    online.close()
    assert first == snapshot.entities
    assert first + later == snapshot.events
