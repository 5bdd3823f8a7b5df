"""What cannot be kept is refused before anything is written, and says what to do."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import rows

from windlass.errors import FeatureError
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OnlineStore]:
    """A store in SQLite: rows are the same for all."""
    store = online_store(Settings(home=tmp_path), PROJECT_VIEW, "credit")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows({}).drop_columns(["birthday"]), "lack birthday"),
        (rows({}).drop_columns(["computed_at"]), "lack computed_at"),
        (rows({"id": None}), "1 nulls"),
        (rows({"loan_date": None}), "1 nulls"),
        (rows({}).set_column(0, "id", pa.array([1.0])), "type double"),
        (rows({}).set_column(0, "id", pa.array([2**63], pa.uint64())), "beyond 64 bits"),
        (rows({}).set_column(1, "loan_date", pa.array([1])), "on a date, or at a time"),
        (rows({}).set_column(5, "nb_previous_loans", pa.array([[1]])), "Cast it"),
        (
            rows({}).set_column(3, "birthday", pa.array([2**30], pa.int32()).cast(pa.date32())),
            "9999",
        ),
    ],
)
def test_rows_that_cannot_be_kept_are_refused(
    store: OnlineStore, table: pa.Table, message: str
) -> None:
    with pytest.raises(FeatureError, match=message):
        store.write(table, 1)
    assert store.read(1) is None


@pytest.mark.parametrize("snapshot", [0, -1, 2**31])
def test_snapshots_are_numbered(store: OnlineStore, snapshot: int) -> None:
    with pytest.raises(FeatureError, match="numbered from 1"):
        store.write(rows({}), snapshot)
