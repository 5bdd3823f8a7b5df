"""A purchase history replayed, for each kind of id: what was served at every moment is what training reads now.

Features of the time since the last order, and of windows, change from hour to hour without new events.
"""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.order_view import COLUMNS, ODD_TEXTS, START, OrderView

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.features.engines.duckdb import run_transform
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.parts import normalise_states, rows_of, sort_columns, sort_rows
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import BEFORE_EVENT, LATEST, Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.training_set import states_before, training_rows
from windlass.features.offline.windows import recent_events
from windlass.features.online.materialise import materialise
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import online_store
from windlass.settings import Settings

VIEWS = [*(OrderView(kind) for kind in COLUMNS), OrderView("text", with_times=False)]
CUSTOMERS = 5


def build_orders(
    folder: Path,
    view: FeatureView,
    record: ViewRecord,
    orders: pl.DataFrame,
    *,
    append: bool = False,
) -> Snapshot:
    file = folder / "raw.parquet"
    orders.write_parquet(file)
    options = BuildOptions(buckets=2, append=append)
    return build(
        view, record, OfflineStore(folder / "store", "orders"), file, options, lambda *_: None
    )


def newest(view: FeatureView, record: ViewRecord, orders: pl.DataFrame) -> pl.DataFrame:
    """The newest state of the customer of these orders, computed from them by Polars and not by DuckDB."""
    states = normalise_states(run_transform(view, orders.lazy()).collect(), record, ["at"])
    states = sort_rows(states, sort_columns(record))
    before = states_before(view, record, states).select(record.stored_columns)
    recent = recent_events(record, sort_rows(orders, sort_columns(record)))
    assert recent is not None
    latest = states.with_columns(before.to_struct(BEFORE_EVENT), computed_at=pl.lit(0.0)).tail(1)
    return latest.with_columns(recent)


@pytest.mark.parametrize("orders_view", VIEWS, ids=str)
def test_training_reads_the_features_that_serving_answered(
    tmp_path: Path, orders_view: OrderView
) -> None:
    view = orders_view.view()
    record = view.record(orders_view.features)
    orders = orders_view.orders(CUSTOMERS, seed=5, texts=ODD_TEXTS[:4])
    snapshot = build_orders(tmp_path, view, record, orders)
    training = {row["order"]: row for row in training_rows(view, record, snapshot).to_dicts()}
    events = pl.read_parquet(snapshot.event_parts()).sort("at", "order")
    online = online_store(Settings(home=tmp_path), record, "orders")
    now: Any = START
    reader = FeatureReader(record, online, today=lambda: now, now=lambda: now)
    first = 0
    for position, event in enumerate(events.iter_rows(named=True)):
        now = event["at"]
        values = tuple(event[name] for name in orders_view.entity)
        entity = values if len(values) > 1 else values[0]
        expected = {name: training[event["order"]][name] for name in record.features}
        answer = reader.get(entity, at="next")
        if answer is None:
            first += 1
            assert expected == record.features_on(
                {"orders": 0, "spent": 0, "last_order_at": None}, now
            )
        else:
            assert answer.values == expected
        mine = rows_of(events.head(position + 1), pl.DataFrame([orders_view.ids.fields(entity)]))
        online.write(newest(view, record, mine).to_arrow(), 1)
        latest = reader.get(entity, at="latest")
        assert latest is not None
        assert latest.values == expected
    online.close()
    assert first == snapshot.entities
    assert len(training) == events.height


def _same(time: Any) -> Any:
    return time


@pytest.mark.parametrize("orders_view", VIEWS, ids=str)
def test_late_events_are_served_as_training_reads_them_from_hour_to_hour(
    tmp_path: Path, orders_view: OrderView
) -> None:
    view = orders_view.view(ttl=timedelta(days=3))
    record = view.record(orders_view.features)
    orders = orders_view.orders(CUSTOMERS, seed=6, texts=ODD_TEXTS[:4])
    late = pl.int_range(pl.len()) % 3 == 0
    build_orders(tmp_path, view, record, orders.filter(~late))
    snapshot = build_orders(tmp_path, view, record, orders.filter(late), append=True)
    online = online_store(Settings(home=tmp_path), record, "orders")
    materialise(online, record, snapshot.verified_parts(LATEST), snapshot, lambda *_: None)
    customers = pl.read_parquet(snapshot.latest_parts()).select(orders_view.entity)
    entities = [row if len(row) > 1 else row[0] for row in customers.iter_rows()]
    last = orders["at"].max()
    assert isinstance(last, date)
    step = timedelta(hours=5, minutes=17) if orders_view.with_times else timedelta(days=1)
    for hour in range(1, 15):
        now: Any = last + hour * step
        labels = customers.with_columns(time=pl.lit(now))
        joined = point_in_time(record, snapshot, labels, "time").to_pylist()
        time = partial(_same, now)
        reader = FeatureReader(record, online, today=time, now=time)
        served = reader.get_many(entities)
        for answer, row in zip(served, joined, strict=True):
            assert answer is not None
            assert answer.values == {name: row[name] for name in record.features}
    online.close()


def test_a_time_belongs_to_the_instant_and_not_to_the_clock_on_the_wall(tmp_path: Path) -> None:
    """The same instants, written with offsets, give the same snapshot; a time without an offset is refused."""
    orders_view = OrderView("text")
    view, record = orders_view.view(), orders_view.view().record(orders_view.features)
    rows = [
        "order,customer,at,amount,items",
        "a,c,2026-03-01T23:30:00-05:00,1.5,1",
        "b,c,2026-03-02T04:45:00Z,2.5,1",
        "c,c,2026-03-02 05:00+00:00,1,1",
    ]
    bad = [
        "d,c,2026-03-02T05:00:00,1,1",
        "e,c,2026-03-02,1,1",
        "f,c,02/03/2026 05:00Z,1,1",
        "g,,2026-03-02T05:00:00Z,1,1",
    ]
    file = tmp_path / "orders.csv"
    file.write_text("\n".join([*rows, *bad]))
    loose = orders_view.view(max_invalid_share=1.0)
    snapshot = build(
        loose, record, OfflineStore(tmp_path, "orders"), file, BuildOptions(), lambda *_: None
    )
    events = pl.read_parquet(snapshot.event_parts())
    assert events["order"].to_list() == ["a", "b", "c"]
    assert events["at"].dt.to_string("iso").to_list() == [
        "2026-03-02 04:30:00.000000",
        "2026-03-02 04:45:00.000000",
        "2026-03-02 05:00:00.000000",
    ]
    assert snapshot.quality["quarantined"] == len(bad)
    assert set(snapshot.quality["reasons"]) == {
        "at: is not a time (YYYY-MM-DDTHH:MM:SS, with an offset such as Z or +02:00)",
        "customer: is null",
    }
    labels = pl.DataFrame(
        {"customer": ["c"], "time": [datetime(2026, 3, 2, 6, 40, tzinfo=UTC)]}
    ).with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    (row,) = point_in_time(record, snapshot, labels, "time").to_pylist()
    assert (row["hours_since_last"], row["orders_6h"], row["spent_3d"]) == (1, 3, 5.0)
    assert view.record(orders_view.features).version == record.version
