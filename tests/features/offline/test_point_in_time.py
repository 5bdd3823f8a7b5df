"""The point-in-time join: what was known strictly before, for labels in any order."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.support.loan_view import FEATURES, PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store, read_sorted

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.training_set import training_rows

BRIEF = replace(VIEW, ttl=timedelta(days=90))


def build_for_view(view: FeatureView, folder: Path) -> Snapshot:
    return build_snapshot(
        offline_store(folder), make_loans(60, seed=8), BuildOptions(buckets=4), view
    )


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return build_for_view(VIEW, tmp_path_factory.mktemp("join"))


def labels(n: int, seed: int) -> pl.DataFrame:
    """Labels of known and unknown clients, on days of loans and between, in no order, some twice."""
    random = np.random.default_rng(seed)
    days = pl.Series(random.integers(17850, 18700, n), dtype=pl.Int32).cast(pl.Date)
    return pl.DataFrame(
        {
            "label": range(n),
            "id": random.integers(90, 170, n).astype(np.int32),
            "day": days,
            "loan": random.integers(1000, 1300, n),
        }
    )


def expected_features(
    record: ViewRecord, snapshot: Snapshot, given: pl.DataFrame, key: bool
) -> list[Any]:
    """The features for each label, one after the other."""
    states = read_sorted(snapshot.state_parts()).to_dicts()
    rows = []
    for label in given.to_dicts():
        at = (label["day"], label["loan"] if key else -1)
        older = [
            s
            for s in states
            if s["id"] == label["id"] and (s["loan_date"], s["loan_id"] if key else 0) < at
        ]
        state = older[-1] if older else None
        if state and record.ttl_days and (label["day"] - state["loan_date"]).days > record.ttl_days:
            state = None
        rows.append(
            dict.fromkeys(FEATURES) if state is None else record.features_on(state, label["day"])
        )
    return rows


@pytest.mark.parametrize("view", [VIEW, BRIEF], ids=["lasting", "brief"])
@pytest.mark.parametrize("key", [False, True], ids=["by day", "by key"])
def test_labels_get_what_was_known_before(tmp_path: Path, view: FeatureView, key: bool) -> None:
    snapshot, record = build_for_view(view, tmp_path), view.record(FEATURES)
    given = labels(300, seed=9)
    joined = point_in_time(record, snapshot, given.to_arrow(), "day", "loan" if key else None)
    assert joined.column_names == [*given.columns, *FEATURES]
    frame = pl.DataFrame(pl.from_arrow(joined))
    assert frame["label"].to_list() == list(range(300))
    features = frame.select(FEATURES).to_dicts()
    assert features == expected_features(record, snapshot, given, key)
    joined_count = sum(row["nb_previous_loans"] is not None for row in features)
    assert 0 < joined_count < 300


def test_every_loan_as_a_label_gets_what_training_reads(snapshot: Snapshot) -> None:
    rows = training_rows(VIEW, PROJECT_VIEW, snapshot)
    given = rows.select("id", "loan_date", "loan_id").sample(fraction=1.0, shuffle=True, seed=1)
    joined = pl.DataFrame(
        pl.from_arrow(point_in_time(PROJECT_VIEW, snapshot, given, "loan_date", "loan_id"))
    )
    expected = given.join(rows.select("loan_id", *FEATURES), on="loan_id", how="left")
    later = expected["nb_previous_loans"] > 0
    assert joined.filter(later).select(FEATURES).equals(expected.filter(later).select(FEATURES))
    assert joined.filter(~later)["age"].null_count() == (~later).sum()


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_may_be_a_file(tmp_path: Path, snapshot: Snapshot, name: str) -> None:
    given, file = labels(20, seed=3), tmp_path / name
    given.write_csv(file) if file.suffix == ".csv" else given.write_parquet(file)
    joined = point_in_time(PROJECT_VIEW, snapshot, file, "day", "loan", {"label": pl.Int64()})
    expected = point_in_time(PROJECT_VIEW, snapshot, given, "day", "loan")
    compared = ["label", "day", *FEATURES]
    assert joined.select(compared).equals(expected.select(compared))


def test_cells_of_a_file_stay_as_they_are_written(tmp_path: Path, snapshot: Snapshot) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "id,day,code,note,flag,loan_amount\n110,2020-03-04,00123,1e5,true,12.50\n110,,,,,\n"
    )
    joined = point_in_time(PROJECT_VIEW, snapshot, file, "day")
    first, empty = joined.drop_columns(list(FEATURES)).to_pylist()
    assert first == {
        "id": 110,
        "day": date(2020, 3, 4),
        "code": "00123",
        "note": "1e5",
        "flag": "true",
        "loan_amount": 12.5,  # a column of the events, of the contract's type
    }
    assert set(empty.values()) == {110, None}


DAY = datetime(2020, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"id": [110], "day": [DAY]}, r"type dict cannot be read.*pyarrow\.table\(labels\)"),
        (None, "type NoneType cannot be read. Give an Arrow table"),
        (
            pa.table([[110], [DAY], [DAY]], names=["id", "day", "day"]),
            "have 2 columns called 'day'. Name each column once",
        ),
        (
            pd.DataFrame([[110, DAY, 1, 2]], columns=["id", "day", "x", "x"]),
            "have 2 columns called 'x'. Name each column once",
        ),
        (
            pa.table({"id": [110], "day": pa.array([DAY], pa.timestamp("us", "+05:30"))}),
            r"column day cannot be read.*time zone \+05:30\. Name one, such as Asia/Kolkata",
        ),
        (
            pd.DataFrame({"id": [110], "day": pd.to_datetime(["2020-03-04T00:00:00+05:30"])}),
            r"column day cannot be read.*time zone UTC\+05:30\. Name one",
        ),
        (
            pd.DataFrame({"id": [110, 111], "day": [DAY, DAY], "x": [1, "a"]}),
            "column x cannot be read. Give all its cells one type",
        ),
    ],
)
def test_labels_that_are_no_frame_of_polars_are_refused(
    snapshot: Snapshot, given: Any, message: str
) -> None:
    with pytest.raises(FeatureError, match=message):
        point_in_time(PROJECT_VIEW, snapshot, given, "day")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("day", "03/04/2020", "column day is not a date"),
        ("day", "04.03.2020", "column day is not a date"),
        ("day", "2020-3-4", "column day is not a date"),
        ("day", "20200304", "column day is not a date"),
        ("day", "1583280000", "column day is not a date"),
        ("day", "2020-02-30", "column day is not a date"),
        ("id", "110.5", "column id is not a whole number"),
        ("id", "A110", "column id is not a whole number"),
        ("loan", "1e-3", "column loan is not a whole number"),
        ("loan_amount", "12,50", "column loan_amount is not a number"),
        ("late", "perhaps", "column late is not true or false"),
    ],
)
def test_a_cell_that_is_not_of_its_type_is_refused(
    tmp_path: Path, snapshot: Snapshot, suffix: str, column: str, cell: str, reason: str
) -> None:
    good = {"id": "110", "day": "2020-03-04", "loan": "7", "loan_amount": "1", "late": "true"}
    frame = pl.DataFrame([good, good, good | {column: cell}, good | {column: "?"}])
    file = tmp_path / f"labels.{suffix}"
    frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
    with pytest.raises(FeatureError, match=rf"labels\.{suffix}, row 3: {reason}"):
        point_in_time(PROJECT_VIEW, snapshot, file, "day", "loan", {"late": pl.Boolean()})


def test_a_line_of_other_cells_is_refused(tmp_path: Path, snapshot: Snapshot) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("id,day\n110,2020-03-04\n110\n110,2020-03-04,1\n110,soon\n")
    with pytest.raises(FeatureError, match=r"row 2: the line has too many or too few cells"):
        point_in_time(PROJECT_VIEW, snapshot, file, "day")


def test_labels_may_be_far_away_null_or_absent(snapshot: Snapshot) -> None:
    given = pl.DataFrame(
        {"id": [100, 100, None], "day": [date(3021, 9, 18), None, date(2020, 1, 1)]},
        schema={"id": pl.Int64, "day": pl.Date},
    )
    lasting = PROJECT_VIEW.model_copy(update={"ttl_days": None})
    joined = point_in_time(lasting, snapshot, given, "day").to_pylist()
    assert joined[0]["age"] > 1000
    assert [row["age"] for row in joined[1:]] == [None, None]
    none = point_in_time(lasting, snapshot, given.head(0), "day")
    assert (none.num_rows, none.column_names) == (0, ["id", "day", *FEATURES])


@pytest.mark.parametrize(
    "given",
    [
        {"id": pl.Series([2**64 - 1], dtype=pl.UInt64), "day": [date(2024, 1, 1)]},
        {"id": [110], "day": pl.Series([1 << 62]).cast(pl.Datetime("ms"))},
        {"id": [110], "day": pl.Series([1 << 30], dtype=pl.Int32).cast(pl.Date)},
    ],
    ids=["id", "time", "day"],
)
def test_labels_beyond_all_bounds_get_nulls(snapshot: Snapshot, given: dict[str, Any]) -> None:
    lasting = PROJECT_VIEW.model_copy(update={"ttl_days": None})
    joined = point_in_time(lasting, snapshot, pl.DataFrame(given), "day")
    assert joined.num_rows == 1
    assert joined.select(FEATURES).to_pylist() == [dict.fromkeys(FEATURES)]


@pytest.mark.parametrize(
    ("given", "key", "message"),
    [
        ({"id": [1]}, None, "need a column day of dates"),
        ({"id": ["1"], "day": [date(2020, 1, 1)]}, None, "need a column id of integers"),
        ({"id": [1], "day": ["2020-01-01"]}, None, "need a column day of dates"),
        ({"id": [1], "day": [date(2020, 1, 1)], "age": [3]}, None, "have a column age"),
        ({"id": [1], "day": [date(2020, 1, 1)], "k": [None]}, "k", "need a column k"),
        (
            {"id": [1], "day": [date(2020, 1, 1)], "k": pl.Series([2**64 - 1], dtype=pl.UInt64)},
            "k",
            "beyond 64 bits",
        ),
    ],
)
def test_invalid_labels_are_refused(
    snapshot: Snapshot, given: dict[str, Any], key: str | None, message: str
) -> None:
    with pytest.raises(FeatureError, match=message):
        point_in_time(PROJECT_VIEW, snapshot, pl.DataFrame(given), "day", key)


@pytest.mark.parametrize(
    "other",
    [BRIEF.record(FEATURES), VIEW.record((*FEATURES, "income"))],
    ids=["another ttl", "one feature more"],
)
def test_a_snapshot_of_another_version_of_the_view_is_refused(
    snapshot: Snapshot, other: ViewRecord
) -> None:
    with pytest.raises(FeatureError, match=rf"computed by .* which is {other.version} now"):
        point_in_time(other, snapshot, labels(3, seed=1), "day")


def test_a_missing_or_unreadable_file_is_reported(tmp_path: Path, snapshot: Snapshot) -> None:
    with pytest.raises(FeatureError, match=r"There is no file .*none.parquet"):
        point_in_time(PROJECT_VIEW, snapshot, tmp_path / "none.parquet", "day")
    broken = tmp_path / "broken.parquet"
    broken.write_text("no Parquet")
    with pytest.raises(FeatureError, match=r"broken\.parquet cannot be read"):
        point_in_time(PROJECT_VIEW, snapshot, broken, "day")
    with pytest.raises(FeatureError, match="neither CSV nor Parquet"):
        point_in_time(PROJECT_VIEW, snapshot, tmp_path / "labels.xlsx", "day")


@pytest.mark.parametrize("entity", [1, 110])
def test_labels_of_which_none_is_known_are_not_lost(snapshot: Snapshot, entity: int) -> None:
    given = pl.DataFrame({"id": [entity], "day": [date(1999, 1, 1)]})
    (row,) = point_in_time(PROJECT_VIEW, snapshot, given, "day").to_pylist()
    assert row == {"id": entity, "day": date(1999, 1, 1)} | dict.fromkeys(FEATURES)


def test_labels_may_be_a_pandas_frame_or_a_path_as_text(tmp_path: Path, snapshot: Snapshot) -> None:
    frame = labels(40, seed=4)
    frame.write_parquet(tmp_path / "labels.parquet")
    expected = point_in_time(PROJECT_VIEW, snapshot, frame, "day").select(FEATURES)
    for given in (frame.to_pandas(), str(tmp_path / "labels.parquet")):
        features = point_in_time(PROJECT_VIEW, snapshot, given, "day").select(FEATURES)
        assert features.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    ("zone", "hour"), [(None, 23), ("UTC", 23), ("America/New_York", 23), ("Asia/Tokyo", 1)]
)
def test_the_day_of_a_time_is_that_of_its_zone(
    snapshot: Snapshot, zone: str | None, hour: int
) -> None:
    """In UTC it may be the next day: the join would then know events of the label's own day."""
    days = read_sorted(snapshot.state_parts()).select("id", "loan_date")
    times = pl.col("loan_date").cast(pl.Datetime("us")) + pl.duration(hours=hour)
    zoned = days.select("id", loan_date=times.dt.replace_time_zone(zone))
    joined = [
        pl.DataFrame(point_in_time(PROJECT_VIEW, snapshot, labels, time="loan_date"))
        for labels in (days, zoned)
    ]
    assert joined[1].drop("loan_date").equals(joined[0].drop("loan_date"))
