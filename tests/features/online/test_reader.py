"""Features of an entity on a day: held against the view's own definition, for any view of the day."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.child_process import run_python
from tests.support.loan_view import FEATURES, NO_JOB, PROJECT_VIEW
from tests.support.online_parts import COMPUTED, DAY, OpenStore, changed_view, rows, stored_columns

from windlass.core.feature_view import ViewRecord
from windlass.features.online.reader import FeatureReader, Features
from windlass.features.online.row_format import SNAPSHOT_BITS, RowLayout, StoredRow
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

TODAY = date(2021, 3, 1)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A store of two clients in SQLite."""
    store = online_store(Settings(home=tmp_path), PROJECT_VIEW, "credit")
    store.write(rows({}, {"id": 2, "flag_own_car": None, "birthday": None}), 1)
    yield store
    store.close()


def _reader(store: OnlineStore, day: date = TODAY, **changes: Any) -> FeatureReader:
    return FeatureReader(changed_view(max_age_seconds=None, **changes), store, today=lambda: day)


def test_features_are_those_of_the_day(store: OnlineStore) -> None:
    assert _reader(store).get(1) == Features(
        entity=1,
        values={
            "nb_previous_loans": 4,
            "avg_amount_loans_previous": 101.5,
            "age": 41,
            "years_on_the_job": None,
            "flag_own_car": 1,
        },
        as_of=DAY,
        computed_at=COMPUTED,
        stale=False,
        view=PROJECT_VIEW.version,
    )
    before = _reader(store, TODAY - timedelta(days=1)).get(1)
    assert before is not None
    assert before.values["age"] == 40


def test_features_come_in_the_order_of_the_view(store: OnlineStore) -> None:
    features = _reader(store, features=FEATURES[::-1]).get(1)
    assert features is not None
    assert tuple(features.values) == FEATURES[::-1]


def test_a_view_of_one_feature(store: OnlineStore) -> None:
    for name, value in (("age", 41), ("flag_own_car", 1)):
        features = _reader(store, features=(name,)).get(1)
        assert features is not None
        assert features.values == {name: value}


def test_an_unknown_entity_has_no_features(store: OnlineStore) -> None:
    reader = _reader(store)
    assert reader.get(3) is None
    features = reader.get_many([3, 2, 1, 2])
    assert features == [None, reader.get(2), reader.get(1), reader.get(2)]
    assert features[1] is not None
    assert features[1].values["age"] is None


Dates = st.none() | st.dates(date(1900, 2, 28), date(2030, 1, 1)) | st.just(NO_JOB)


class _StoreOfOneRow:
    """A store that knows one entity."""

    def __init__(self, row: list[Any], layout: RowLayout) -> None:
        self.row = StoredRow(row, layout)

    def read(self, entity: int) -> StoredRow:
        return self.row


@examples(200)
@given(birthday=Dates, job=Dates, days=st.lists(st.dates(date(1999, 1, 1)), min_size=1, max_size=3))
def test_features_are_what_the_view_says(
    birthday: date | None, job: date | None, days: list[date]
) -> None:
    state = stored_columns(birthday=birthday, job_start_date=job)
    layout = RowLayout(view="v", columns=tuple(state), dates=("birthday", "job_start_date"))
    cells = [cell.toordinal() if isinstance(cell, date) else cell for cell in state.values()]
    store: Any = _StoreOfOneRow(
        [DAY.toordinal() << SNAPSHOT_BITS | 1, layout.number, COMPUTED, *cells], layout
    )
    turn = iter(days)
    record = changed_view(ttl_days=None, max_age_seconds=None)
    reader = FeatureReader(record, store, today=lambda: next(turn, days[-1]))
    for day in days[1:]:
        features = reader.get(1)
        assert features is not None
        assert features.values == record.features_on(state, day)


def test_a_date_can_be_a_feature(tmp_path: Path) -> None:
    record = changed_view(features=("birthday", "age"), max_age_seconds=None)
    store = online_store(Settings(home=tmp_path), record, "credit")
    store.write(rows({}, {"id": 2, "birthday": None}), 1)
    reader = FeatureReader(record, store, today=lambda: TODAY)
    values = [features and features.values for features in reader.get_many([1, 2])]
    assert values == [{"birthday": date(1980, 2, 29), "age": 41}, {"birthday": None, "age": None}]
    store.close()


def test_what_is_older_than_the_ttl_is_unknown(store: OnlineStore) -> None:
    for days, is_known in ((30, True), (31, False)):
        features = _reader(store, DAY + timedelta(days=days), ttl_days=30.5).get(1)
        assert features is not None
        assert (features.values["nb_previous_loans"] == 4) == is_known
        assert (features.values == dict.fromkeys(FEATURES)) != is_known
        assert features.as_of == DAY
    assert _reader(store, ttl_days=1e9).get(1) == _reader(store, ttl_days=None).get(1)


def test_what_was_not_materialised_for_long_is_stale(store: OnlineStore) -> None:
    from windlass.features.online.store import MaterialisationProgress

    fresh = store.finish(MaterialisationProgress(snapshot=1, created=1.0, view="v"))
    now = fresh.materialised_at
    reader = FeatureReader(changed_view(max_age_seconds=60.0), store, clock=lambda: now)
    for later, stale in ((59.0, False), (61.0, True)):
        now = fresh.materialised_at + later
        rows = reader.get_many([1, 2])
        assert [row and row.stale for row in rows] == [stale, stale]
    store.finish(MaterialisationProgress(snapshot=2, created=2.0, view="v"))  # now
    now = fresh.materialised_at + 62.0
    assert reader.get(1).stale  # type: ignore[union-attr]
    now = fresh.materialised_at + 2.0  # the clock was set back
    assert not reader.get(1).stale  # type: ignore[union-attr]


def test_what_was_never_materialised_whole_is_stale(store: OnlineStore) -> None:
    assert FeatureReader(PROJECT_VIEW, store).get(1).stale  # type: ignore[union-attr]


def test_another_version_is_still_read(store: OnlineStore) -> None:
    newer = changed_view(version="newer", features=("nb_previous_loans", "added", "age"))
    features = FeatureReader(newer, store, today=lambda: TODAY).get(1)
    assert features is not None
    assert features.view == PROJECT_VIEW.version
    assert features.values == {"nb_previous_loans": 4, "added": None, "age": 41}


def test_the_day_is_that_of_utc(store: OnlineStore) -> None:
    def of(day: date) -> dict[str, Any]:
        return PROJECT_VIEW.features_on(stored_columns(), day)

    before = datetime.now(UTC).date()
    features = FeatureReader(PROJECT_VIEW, store).get(1)
    assert features is not None
    assert features.values in (of(before), of(datetime.now(UTC).date()))


def test_every_store_is_read_alike(open_store: OpenStore) -> None:
    store = open_store()
    store.write(rows({}, {"id": 2, "job_start_date": None}), 1)
    reader = _reader(store)
    assert [features and features.values for features in reader.get_many([2, 9, 1])] == [
        PROJECT_VIEW.features_on(stored_columns(job_start_date=None), TODAY),
        None,
        PROJECT_VIEW.features_on(stored_columns(), TODAY),
    ]


def test_reading_imports_nothing_heavy(tmp_path: Path, store: OnlineStore) -> None:
    program = """
import sys
from pathlib import Path
from windlass.core.feature_view import ViewRecord
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import online_store
from windlass.settings import Settings
record = ViewRecord.model_validate_json(sys.argv[1])
reader = FeatureReader(record, online_store(Settings(home=Path(sys.argv[2])), record, "credit"))
assert reader.get(1) is not None and reader.get_many([1, 2])[1] is not None
heavy = {"pyarrow", "polars", "duckdb", "narwhals", "pandera", "pandas", "numpy", "sqlalchemy", "redis", "psycopg"}
print(sorted(heavy & set(sys.modules)))
"""
    record: ViewRecord = PROJECT_VIEW
    assert run_python(program, record.model_dump_json(), tmp_path) == "[]\n"
