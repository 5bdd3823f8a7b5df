"""One contract over every online store: SQLite, Redis and PostgreSQL."""

import threading
from datetime import date, timedelta
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.loan_view import NO_JOB, PROJECT_VIEW
from tests.support.online_parts import COMPUTED, DAY, OpenStore, changed_view, rows, stored_columns

from windlass.errors import FeatureError
from windlass.features.online.row_format import StoredRow
from windlass.features.online.store import Freshness, MaterialisationProgress, OnlineStore

EDGES = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]


def _loans(store: OnlineStore, entity: int = 1) -> Any:
    row = store.read(entity)
    return None if row is None else row.values["nb_previous_loans"]


def test_a_store_that_was_never_written_knows_nothing(store: OnlineStore) -> None:
    assert store.read(1) is None
    assert store.read_many([1, 2]) == [None, None]
    assert store.read_many([]) == []
    assert store.any_entity() is None
    assert store.freshness() is None
    assert store.progress(1) is None
    assert not store.erase(1)


def test_written_rows_are_read_back(store: OnlineStore) -> None:
    assert store.write(rows({}), 3) == 1
    assert store.any_entity() == 1
    row = store.read(1)
    assert row is not None
    assert row.values == stored_columns()
    assert row.values["job_start_date"] == NO_JOB
    assert (row.as_of, row.computed_at, row.snapshot) == (DAY, COMPUTED, 3)
    assert row.view == PROJECT_VIEW.version


def test_null_nan_and_infinity_are_null(store: OnlineStore) -> None:
    empty = dict.fromkeys(PROJECT_VIEW.stored_columns)
    store.write(rows(empty), 1)
    assert store.read(1).values == empty  # type: ignore[union-attr]
    for number in (float("nan"), float("inf")):
        store.write(rows({"avg_amount_loans_previous": number}), 1)
        assert store.read(1).values == stored_columns(avg_amount_loans_previous=None)  # type: ignore[union-attr]


def test_values_come_back_as_they_were(open_store: OpenStore) -> None:
    columns: dict[str, pa.Array] = {
        "whole": pa.array([2**63 - 1, -(2**63), None]),
        "real": pa.array([0.1 + 0.2, -1e300, 5e-324]),
        "is_new": pa.array([True, False, None]),
        "words": pa.array(['a"b\\\n,[', "späte Zahlung 💸", ""]),
        "days": pa.array([date(1, 1, 1), date(9999, 12, 31), None]),
        "nothing": pa.nulls(3),
    }
    record = changed_view(features=tuple(columns), at_request={})
    store = open_store("credit", record)
    table = rows({"id": 1}, {"id": 2}, {"id": 3})
    for name, column in columns.items():
        table = table.append_column(name, column)
    store.write(table, 2**31 - 1)
    rows_read = store.read_many([1, 2, 3])
    assert [row and row.values for row in rows_read] == pa.table(columns).to_pylist()
    assert [row and row.snapshot for row in rows_read] == [2**31 - 1] * 3


def test_entities_have_64_bits(store: OnlineStore) -> None:
    for entity in EDGES:
        store.write(rows({"id": entity}), 1)
        assert store.read(entity) is not None
        is_stored = [row is not None for row in store.read_many(EDGES)]
        assert is_stored == [edge == entity for edge in EDGES]
        assert store.erase(entity)
        assert store.read(entity) is None


def test_other_entities_than_64_bit_integers_are_refused(store: OnlineStore) -> None:
    store.finish(MaterialisationProgress(snapshot=1, created=1.0, view="v"))
    invalid: list[Any] = [2**63, -(2**63) - 1, True, 1.0, "1", None]
    for entity, ask in product(
        invalid, (store.read, store.erase, lambda entity: store.read_many([1, entity]))
    ):
        with pytest.raises(FeatureError, match="integer of 64 bits"):
            ask(entity)


def test_many_entities_are_read_in_their_order(store: OnlineStore) -> None:
    store.write(rows(*({"id": n, "nb_previous_loans": n} for n in range(1200))), 1)
    entities = [5, 999, -1, 5, 0, 1200, 1199, *range(1000)]
    loans = [row and row.values["nb_previous_loans"] for row in store.read_many(entities)]
    assert loans == [n if 0 <= n < 1200 else None for n in entities]


def test_the_newest_event_wins(store: OnlineStore) -> None:
    assert store.write(rows({"nb_previous_loans": 5}), 2) == 1
    older = {"loan_date": DAY - timedelta(days=1), "nb_previous_loans": 1}
    assert store.write(rows(older), 3) == 0
    assert _loans(store) == 5
    assert store.write(rows({"loan_date": DAY + timedelta(days=1), "nb_previous_loans": 6}), 1) == 1
    assert _loans(store) == 6


def test_of_one_day_the_newer_snapshot_wins(store: OnlineStore) -> None:
    store.write(rows({"nb_previous_loans": 5}), 2)
    assert store.write(rows({"nb_previous_loans": 4}), 1) == 0
    assert _loans(store) == 5
    assert store.write(rows({"nb_previous_loans": 6}), 3) == 1
    assert _loans(store) == 6


def test_writing_twice_is_writing_once(store: OnlineStore) -> None:
    for _ in range(2):
        store.write(rows({}, {"id": 2}), 1)
        assert [row and row.values for row in store.read_many([1, 2])] == [stored_columns()] * 2


def test_of_rows_of_one_entity_in_one_table_the_newest_wins(store: OnlineStore) -> None:
    newer = {"loan_date": DAY + timedelta(days=9), "nb_previous_loans": 9}
    store.write(rows({}, newer, {"nb_previous_loans": 2}), 1)
    assert _loans(store) == 9


Writes = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=8
)


@examples(10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(writes=Writes)
def test_the_order_of_writing_makes_no_difference(
    open_store: OpenStore, writes: list[tuple[int, int, int]]
) -> None:
    stores = open_store("forward"), open_store("backward")
    for store, order in zip(stores, (writes, writes[::-1]), strict=True):
        for entity in (1, 2, 3):
            store.erase(entity)
        for entity, day, snapshot in order:
            changes = {"id": entity, "loan_date": DAY + timedelta(days=day)}
            store.write(rows(changes | {"nb_previous_loans": 10 * day + snapshot}), snapshot)
    best = {
        entity: max(
            (10 * day + snapshot for written, day, snapshot in writes if written == entity),
            default=None,
        )
        for entity in (1, 2, 3)
    }
    assert [_loans(stores[0], entity) for entity in best] == list(best.values())
    assert [_loans(stores[1], entity) for entity in best] == list(best.values())
    for store in stores:
        store.close()


def test_projects_do_not_see_each_other(open_store: OpenStore) -> None:
    first, other = open_store("credit"), open_store("fraud")
    first.write(rows({}), 1)
    other.write(rows({"nb_previous_loans": 8}), 2)
    first.finish(MaterialisationProgress(snapshot=1, created=1.0, view="a"))
    assert (_loans(first), _loans(other)) == (4, 8)
    assert other.freshness() is None
    assert first.erase(1)
    assert (_loans(first), _loans(other)) == (None, 8)


def test_another_process_sees_what_was_written(open_store: OpenStore) -> None:
    reader, writer = open_store(), open_store()
    assert reader.read(1) is None
    writer.write(rows({}), 1)
    assert _loans(reader) == 4
    writer.write(rows({"nb_previous_loans": 5}), 2)
    assert _loans(reader) == 5
    assert writer.erase(1)
    assert reader.read(1) is None


def test_what_is_erased_stays_away_until_it_is_written(store: OnlineStore) -> None:
    store.write(rows({}, {"id": 2}), 5)
    assert store.erase(1)
    assert not store.erase(1)
    assert _loans(store, 2) == 4
    store.write(rows({"id": 2}), 1)  # an older snapshot that does not hold it
    assert store.read(1) is None
    store.write(rows({"nb_previous_loans": 1}), 1)  # an older one that still does
    assert _loans(store) == 1


def test_rows_of_several_versions_are_read_as_they_were_meant(open_store: OpenStore) -> None:
    old = open_store()
    old.write(rows({}), 1, view="0ld")
    changed = changed_view(version="new", features=("flag_own_car", "age"))
    new = open_store("credit", changed)
    new.write(rows({"id": 2}), 2)
    for store in (old, new, open_store()):
        first, second = store.read_many([1, 2])
        assert first is not None
        assert second is not None
        assert (first.view, first.values) == ("0ld", stored_columns())
        assert second.view == "new"
        assert second.values == {
            "flag_own_car": 1,
            "birthday": date(1980, 2, 29),
            "job_start_date": NO_JOB,
        }


def test_the_progress_of_a_materialisation_is_stored(open_store: OpenStore) -> None:
    store = open_store()
    progress = MaterialisationProgress(
        snapshot=4, created=2.5, view="v", parts=3, last="part-02", newest=DAY
    )
    store.save_progress(progress)
    store.save_progress(progress.model_copy(update={"parts": 2, "last": "part-01"}))  # a slower one
    assert open_store().progress(4) == progress
    assert store.progress(3) is None
    store.finish(progress)
    assert store.progress(4) is None


def test_freshness_is_of_the_newest_snapshot(store: OnlineStore) -> None:
    store.write(rows({}, {"id": 2}), 2)
    freshness = store.finish(
        MaterialisationProgress(snapshot=2, created=2.5, view="v", parts=9, newest=DAY)
    )
    assert freshness == Freshness(
        name="clients", view="v", snapshot=2, created=2.5, newest=DAY, entities=2,
        materialised_at=freshness.materialised_at,
    )  # fmt: skip
    assert store.freshness() == freshness
    store.finish(MaterialisationProgress(snapshot=1, created=1.0, view="older"))
    assert store.freshness() == freshness
    again = store.finish(MaterialisationProgress(snapshot=2, created=2.5, view="v", newest=DAY))
    assert store.freshness() == again
    assert again.materialised_at > freshness.materialised_at


def test_threads_read_while_others_write(open_store: OpenStore) -> None:
    reader, over = open_store(), threading.Event()
    wrong: list[StoredRow | None] = []
    reader.write(rows(*({"id": n} for n in range(100))), 1)  # with 4 loans each

    def read() -> None:
        while not over.is_set():
            rows_read = [*reader.read_many(range(0, 100, 7)), reader.read(5)]
            wrong.extend(
                row
                for row in rows_read
                if row is None or row.snapshot != row.values["nb_previous_loans"] - 3
            )

    def write() -> None:
        writer = open_store()
        for snapshot in range(1, 6):
            loans = {"nb_previous_loans": snapshot + 3}
            writer.write(rows(*({"id": n, **loans} for n in range(100))), snapshot)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write) for _ in range(2)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert {row and row.snapshot for row in reader.read_many(range(100))} == {5}
