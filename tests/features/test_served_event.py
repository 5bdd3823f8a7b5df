"""Which event features are served for: those before the latest leave it out, those before the next count it."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.credit_view import CREDIT_RECORD, CREDIT_VIEW, SAMPLE, make_credit_loans
from tests.support.loan_view import FEATURES, PROJECT_VIEW, VIEW, make_loans
from tests.support.snapshots import build_snapshot, offline_store, read_sorted

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.hashing import sha256_file
from windlass.errors import FeatureError, ProjectError
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.erasure import erase
from windlass.features.offline.snapshot import LATEST, Snapshot
from windlass.features.offline.store import OfflineStore, write_metadata
from windlass.features.offline.training_set import training_rows
from windlass.features.online.materialise import materialise
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

TODAY = date(2024, 5, 1)
LASTING = replace(VIEW, serves="latest")
BRIEF = replace(VIEW, serves="latest", ttl=timedelta(days=90))
APPEND = BuildOptions(append=True)


@pytest.fixture
def online(tmp_path: Path) -> Any:
    """An empty store in SQLite."""
    store = online_store(Settings(home=tmp_path), PROJECT_VIEW, "loans")
    yield store
    store.close()


def fill(store: OnlineStore, view: FeatureView, snapshot: Snapshot) -> FeatureReader:
    record = view.record(FEATURES)
    materialise(store, record, snapshot.latest_parts(), snapshot, lambda *_: None)
    return FeatureReader(record, store, today=lambda: TODAY)


def served(reader: FeatureReader, entity: int, at: Any = None) -> dict[str, Any]:
    features = reader.get(entity, at)
    assert features is not None
    return features.values


def changing_form() -> pl.DataFrame:
    """Three loans of one client, whose form says something else each time."""
    client = make_loans(1, seed=3).head(1)
    days = [date(2020, 1, 1), date(2020, 1, 20), date(2021, 6, 1)]
    return pl.concat(
        client.with_columns(
            pl.lit(1000 + number).alias("loan_id"),
            pl.lit(day).alias("loan_date"),
            pl.lit(car).alias("flag_own_car"),
            pl.lit(100.0 * (number + 1)).alias("loan_amount"),
        )
        for number, (day, car) in enumerate(zip(days, ["N", None, "Y"], strict=True))
    )


def test_the_latest_event_brings_its_own_request_columns(
    tmp_path: Path, online: OnlineStore
) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), changing_form(), view=LASTING)
    rows = training_rows(LASTING, LASTING.record(FEATURES), snapshot)
    assert rows["nb_previous_loans"].to_list() == [0, 1, 2]
    assert rows["avg_amount_loans_previous"].to_list() == [None, 100.0, 150.0]
    assert rows["flag_own_car"].to_list() == [0, None, 1]  # of the loan's own form
    reader = fill(online, LASTING, snapshot)
    latest, upcoming = served(reader, 100), served(reader, 100, "next")
    assert (latest["nb_previous_loans"], latest["avg_amount_loans_previous"]) == (2, 150.0)
    assert (upcoming["nb_previous_loans"], upcoming["avg_amount_loans_previous"]) == (3, 200.0)
    assert latest["flag_own_car"] == upcoming["flag_own_car"] == 1


def test_a_view_of_the_next_event_carries_request_columns_forward(tmp_path: Path) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), changing_form(), view=VIEW)
    rows = training_rows(VIEW, PROJECT_VIEW, snapshot)
    assert rows["flag_own_car"].to_list() == [
        0,
        0,
        None,
    ]  # of the form before; the first loan's own


@pytest.mark.parametrize("view", [VIEW, BRIEF, CREDIT_VIEW], ids=["next", "latest", "the example"])
def test_the_latest_row_is_that_of_training_and_is_of_today(
    tmp_path: Path, online: OnlineStore, view: FeatureView
) -> None:
    """Whatever was built in one go or appended, late loans among it; clients of one loan too."""
    loans = make_credit_loans(30, 5) if view is CREDIT_VIEW else make_loans(60, 5)
    store, record = offline_store(tmp_path), view.record(FEATURES)
    build_snapshot(store, loans.gather_every(2), BuildOptions(buckets=2), view)
    snapshot = build_snapshot(store, loans.gather_every(2, 1), APPEND, view)
    last = training_rows(view, record, snapshot).unique("id", keep="last", maintain_order=True)
    fresh = FeatureReader(record.model_copy(update={"ttl_days": None}), online, lambda: TODAY)
    fill(online, view, snapshot)
    stored = [name for name in FEATURES if name not in record.at_request]
    for row in last.to_dicts():
        answer = served(fresh, row["id"], "latest")
        assert {name: answer[name] for name in stored} == {name: row[name] for name in stored}
        if row["birthday"] is not None and answer["age"] is not None:
            birthday = (TODAY.month, TODAY.day) < (row["birthday"].month, row["birthday"].day)
            assert answer["age"] == TODAY.year - row["birthday"].year - birthday
    assert view is CREDIT_VIEW or (last["nb_previous_loans"] == 0).any()  # of one loan


def test_what_the_brief_of_credit_risk_defines(tmp_path: Path, online: OnlineStore) -> None:
    """Loans before the client's most recent loan, and their average."""
    loans = make_credit_loans(40, seed=6)
    snapshot = build_snapshot(offline_store(tmp_path), loans, view=CREDIT_VIEW)
    reader = fill(online, CREDIT_VIEW, snapshot)
    histories = loans.sort("loan_date", "loan_id").group_by("id", maintain_order=True).all()
    for client in histories.to_dicts():
        *before, _ = client["loan_amount"]
        answer = served(reader, client["id"])
        assert answer["nb_previous_loans"] == len(before)
        average = sum(before) / len(before) if before else None
        assert answer["avg_amount_loans_previous"] == (
            None if average is None else pytest.approx(average, abs=1e-6)
        )
        assert answer["flag_own_car"] == {"Y": 1, "N": 0, None: None}[client["flag_own_car"][-1]]


def test_the_printed_features_of_the_real_client(tmp_path: Path, online: OnlineStore) -> None:
    """The notebook printed this row of the client's most recent loan."""
    if not SAMPLE.exists():
        pytest.skip(f"{SAMPLE} is not here")
    loans = pl.read_csv(SAMPLE).filter(pl.col("id") == 5150487)
    raw = tmp_path / "loans.csv"
    loans.write_csv(raw)
    snapshot = build_snapshot(offline_store(tmp_path), raw, view=CREDIT_VIEW)
    answer = served(fill(online, CREDIT_VIEW, snapshot), 5150487)
    assert answer["nb_previous_loans"] == loans.height - 1 == 29
    assert answer["avg_amount_loans_previous"] == pytest.approx(129.798262, abs=1e-6)


def test_features_older_than_the_ttl_are_null_at_either_event(
    tmp_path: Path, online: OnlineStore
) -> None:
    snapshot = build_snapshot(offline_store(tmp_path), changing_form(), view=BRIEF)
    fill(online, BRIEF, snapshot)
    reader = FeatureReader(BRIEF.record(FEATURES), online, today=lambda: date(2021, 6, 2))
    # the loan before the latest was more than 90 days before it; its form is its own
    assert served(reader, 100) == {
        "nb_previous_loans": None,
        "avg_amount_loans_previous": None,
        "age": served(reader, 100, "next")["age"],
        "years_on_the_job": served(reader, 100, "next")["years_on_the_job"],
        "flag_own_car": 1,
    }
    assert served(reader, 100, "next")["nb_previous_loans"] == 3
    late = FeatureReader(BRIEF.record(FEATURES), online, today=lambda: date(2021, 9, 1))
    assert served(late, 100) == served(late, 100, "next") == dict.fromkeys(FEATURES)


def test_the_declaration_decides_the_version_only_where_it_changed() -> None:
    assert LASTING.record(FEATURES).version != PROJECT_VIEW.version
    declared = PROJECT_VIEW.model_dump_json(exclude={"serves"})  # as an earlier version wrote it
    assert ViewRecord.model_validate_json(declared) == PROJECT_VIEW
    assert CREDIT_RECORD.serves == "latest"
    with pytest.raises(ProjectError, match="needs serves to be 'latest' or 'next'"):
        replace(VIEW, serves="newest")  # type: ignore[arg-type]


def test_a_stored_column_may_not_have_the_name(tmp_path: Path) -> None:
    renamed = replace(
        VIEW, transform=lambda loans: VIEW.transform(loans).rename({"flag_own_car": "before_event"})
    )
    record = renamed.record(("nb_previous_loans", "before_event"))
    file = tmp_path / "raw.parquet"
    make_loans(3, seed=1).write_parquet(file)
    with pytest.raises(FeatureError, match="keeps a column before_event"):
        build(renamed, record, offline_store(tmp_path), file, BuildOptions(), lambda *_: None)


def without_before_event(store: OfflineStore, snapshot: Snapshot) -> Snapshot:
    """The snapshot without what earlier versions left out, and with digests that fit."""
    files = dict(snapshot.files)
    for part in snapshot.latest_parts():
        pl.read_parquet(part).drop("before_event").write_parquet(part)
        files[f"{LATEST}/{part.name}"] = sha256_file(part)
    (snapshot.folder / "snapshot.json").unlink()
    write_metadata(snapshot.folder, snapshot.model_copy(update={"files": files}))
    return store.snapshot()


def test_a_snapshot_of_an_old_version_serves_the_next_event_alone(
    tmp_path: Path, online: OnlineStore
) -> None:
    store = offline_store(tmp_path)
    loans = make_loans(20, seed=2)
    build_snapshot(store, loans.head(50), BuildOptions(buckets=4))
    old = without_before_event(store, store.snapshot())
    reader = fill(online, VIEW, old)
    entity = loans["id"][0]
    assert served(reader, entity) == served(reader, entity, "next")
    for read in (reader.get, lambda id_, at: reader.get_many([id_], at)):
        with pytest.raises(FeatureError, match=r"earlier version.*then materialise them"):
            read(entity, "latest")
    fresh = online.freshness()
    assert fresh is not None
    assert fresh.missing_columns(PROJECT_VIEW) is None
    assert "earlier version" in (fresh.missing_columns(LASTING.record(FEATURES)) or "")
    with pytest.raises(FeatureError, match="Snapshot 1 was built by an earlier version"):
        materialise(online, LASTING.record(FEATURES), old.latest_parts(), old, lambda *_: None)
    # an increment computes every state again
    new = build_snapshot(store, loans.tail(loans.height - 50), APPEND)
    assert new.recomputed == new.entities
    reader = fill(online, VIEW, new)
    last = training_rows(VIEW, PROJECT_VIEW, new).filter(id=entity).tail(1).to_dicts()[0]
    assert served(reader, entity, "latest")["nb_previous_loans"] == last["nb_previous_loans"]


def test_an_erased_entity_is_in_neither(tmp_path: Path, online: OnlineStore) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, make_loans(5, seed=2), view=LASTING)
    erase(store, 102)
    reader = fill(online, LASTING, store.snapshot())
    assert (reader.get(102, "latest"), reader.get(102, "next")) == (None, None)
    assert 102 not in read_sorted(store.snapshot().latest_parts())["id"]
    assert reader.get(101) is not None
