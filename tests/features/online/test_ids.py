"""Every store finds entities by any kind of id: each by its own and by no other, in every order of writing."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from tests.support.online_parts import OpenStore
from tests.support.order_view import COLUMNS, ODD_TEXTS, START, OrderView

from windlass.errors import FeatureError, IdError
from windlass.features.offline.snapshot import BEFORE_EVENT, RECENT_EVENTS
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import MaterialisationProgress, OnlineStore

IDS: dict[str, list[Any]] = {
    "integer": [-1, 0, 7, 2**63 - 1],
    "text": list(ODD_TEXTS),
    "uuid": ["6f1c2e4a-0000-4000-8000-000000000001", "6f1c2e4a-0000-4000-8000-000000000002"],
    "several": [(text, number) for text in ODD_TEXTS for number in (7, -7)],
}
WRONG: dict[str, list[Any]] = {
    "integer": ["7", 7.0, True, None, 2**63, (7,)],
    "text": [7, None, "", "a\0b", "line\n", "x" * 513, "\ud800", ("a",)],
    "uuid": ["6f1c2e4a", "", 7, "6f1c2e4a-0000-4000-8000-00000000000g", None],
    "several": [
        "north",
        7,
        ("north",),
        ("north", "7"),
        (7, "north"),
        ("north", 7, 7),
        {"shop": "north"},
    ],
}


def latest_rows(
    orders_view: OrderView, entities: list[Any], orders: int, at: datetime
) -> pl.DataFrame:
    """A row of `latest` for each entity, with this many orders: the last at this time, and one an hour before."""
    states = {"orders": orders, "spent": 1.5, "last_order_at": at}
    recent = [
        {"at": at - timedelta(hours=1), "amount": 0.1, "items": 2},
        {"at": at, "amount": 0.2, "items": None},
    ]
    rows = [
        {
            **orders_view.ids.fields(entity),
            "at": at,
            **states,
            "computed_at": 1.0,
            BEFORE_EVENT: {**states, "orders": orders - 1},
            RECENT_EVENTS: recent,
        }
        for entity in entities
    ]
    schema_overrides: dict[str, pl.DataType] = {"at": pl.Datetime("us"), "orders": pl.Int64()}
    return pl.DataFrame(rows, schema_overrides=schema_overrides)


def filled(open_store: OpenStore, kind: str) -> tuple[OrderView, OnlineStore]:
    orders_view = OrderView(kind)
    store = open_store(f"orders-{kind}", orders_view.view().record(orders_view.features))
    store.write(latest_rows(orders_view, IDS[kind], 3, START.replace(tzinfo=None)).to_arrow(), 1)
    ids = orders_view.ids
    store.finish(
        MaterialisationProgress(
            snapshot=1,
            created=1.0,
            view="v",
            entity_columns=ids.columns,
            entity_types=ids.types,
            has_times=True,
        )
    )
    return orders_view, store


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_id_finds_its_own_row(open_store: OpenStore, kind: str) -> None:
    orders_view, store = filled(open_store, kind)
    record, now = (
        orders_view.view().record(orders_view.features),
        START + timedelta(hours=5, minutes=30),
    )
    reader = FeatureReader(record, store, now=lambda: now)
    for entity, answer in zip(IDS[kind], reader.get_many(IDS[kind]), strict=True):
        assert answer is not None
        assert answer == reader.get(entity)
        assert answer.entity == entity
        assert answer.as_of == START
        assert answer.values == {
            "orders": 3, "spent": 1.5, "days_since_last": 0, "hours_since_last": 5, "orders_2d": 2, "orders_6h": 1,
            "spent_3d": 0.1 + 0.2, "items_3d": 2,
        }  # fmt: skip
        before = reader.get(entity, at="latest")
        assert before is not None
        assert (before.values["orders"], before.values["orders_2d"], before.values["spent_3d"]) == (
            2,
            1,
            0.1,
        )
    for wrong in WRONG[kind]:
        for ask in (reader.get, store.read, store.erase, lambda entity: reader.get_many([entity])):
            with pytest.raises(IdError):
                ask(wrong)
    some = store.any_entity()
    assert some in IDS[kind]
    assert store.entity_ids() == orders_view.ids
    assert store.erase(IDS[kind][0])
    assert reader.get(IDS[kind][0]) is None
    assert all(reader.get_many(IDS[kind][1:]))
    store.clear()
    assert store.freshness() is None
    assert store.any_entity() is None


@pytest.mark.parametrize("kind", ["text", "several"])
def test_the_newest_event_wins_to_the_second(open_store: OpenStore, kind: str) -> None:
    orders_view, store = filled(open_store, kind)
    entity, start = IDS[kind][0], START.replace(tzinfo=None)

    def orders_of(rows: pl.DataFrame, snapshot: int) -> int:
        store.write(rows.to_arrow(), snapshot)
        row = store.read(entity)
        assert row is not None
        return int(row.values["orders"])

    later = latest_rows(orders_view, [entity], 4, start + timedelta(seconds=1))
    assert orders_of(later, 1) == 4
    assert orders_of(latest_rows(orders_view, [entity], 9, start), 2) == 4
    assert orders_of(latest_rows(orders_view, [entity], 5, start + timedelta(seconds=1)), 2) == 5
    assert orders_of(later, 1) == 5
    row = store.read(entity)
    assert row is not None
    assert (row.as_of, row.snapshot) == (START + timedelta(seconds=1), 2)
    with pytest.raises(FeatureError, match="numbered from 1 to 16777215"):
        store.write(later.to_arrow(), 1 << 24)
