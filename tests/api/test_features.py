"""`windlass.features`: features now, as they were, and snapshots in the libraries of data frames."""

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.support.cli import run_cli
from tests.support.lending_project import LendingProject
from tests.support.paths import IRIS

import windlass
from windlass.errors import FeatureError

LOANS = [
    "1,7,2020-01-01,100,1980-05-05,0",
    "2,7,2020-02-01,300,1980-05-05,1",
    "3,8,2020-03-01,50,,0",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> LendingProject:
    """A project with one snapshot of three loans, materialised. Nobody changes it."""
    project = LendingProject.copied(tmp_path_factory.mktemp("api") / "lending")
    home = project.folder / "home"
    raw = project.raw("loans.csv", *LOANS)
    for words in (("build", project.folder, "--data", raw), ("materialise", project.folder)):
        ended = run_cli("features", *words, home=home)
        assert ended.code == 0, ended.err
    return project


@pytest.fixture
def store(project: LendingProject, monkeypatch: pytest.MonkeyPatch) -> windlass.FeatureStore:
    monkeypatch.setenv("WINDLASS_HOME", str(project.folder / "home"))
    monkeypatch.delenv("WINDLASS_ONLINE_URL", raising=False)
    return windlass.features(project.folder)


def test_features_of_one_and_of_many(store: windlass.FeatureStore) -> None:
    features = store.get(7, at="next")
    assert (features.entity, features.values["loans_before"]) == (7, 2)
    many = store.get([8, 99, 7])
    assert [each and each.entity for each in many] == [8, None, 7]
    with pytest.raises(FeatureError, match="knows no client 99"):
        store.get(99)
    with pytest.raises(FeatureError, match="'latest' or 'next'"):
        store.get(7, at="now")  # type: ignore[call-overload]  # wrong on purpose
    assert windlass.features(store.project).view == store.view  # by its name, too


def test_training_rows_in_every_library(store: windlass.FeatureStore) -> None:
    rows = store.training_rows()
    assert isinstance(rows, pd.DataFrame)
    assert rows["loan"].tolist() == [1, 2, 3]
    assert rows["loans_before"].tolist()[:2] == [0, 1]
    polars = store.training_rows(frame="polars")
    assert isinstance(polars, pl.DataFrame)
    assert polars["mean_before"].to_list()[1] == 100
    assert isinstance(store.training_rows(1, "arrow"), pa.Table)


def test_a_point_in_time_join_keeps_form_index_and_order(
    store: windlass.FeatureStore, tmp_path: Path
) -> None:
    labels = pd.DataFrame(
        {"client": [8, 7, 7], "day": pd.to_datetime(["2020-03-02", "2020-02-02", "2020-01-01"])},
        index=["x", "y", "z"],
    )
    joined = store.point_in_time(labels)
    assert joined.index.tolist() == ["x", "y", "z"]
    assert joined["client"].tolist() == [8, 7, 7]
    assert joined["loans_before"].tolist()[:2] == [1, 2]
    assert pd.isna(joined["loans_before"].tolist()[2])
    assert joined["day"].equals(labels["day"])
    polars = store.point_in_time(pl.DataFrame(labels.to_dict("list")), "day")
    assert polars["loans_before"].to_list() == [1, 2, None]
    file = tmp_path / "labels.csv"
    labels.to_csv(file, index=False)
    assert store.point_in_time(file)["loans_before"].tolist()[:2] == [1, 2]
    with pytest.raises(FeatureError, match="need a column when"):
        store.point_in_time(labels, "when")


def test_snapshots_in_every_library(store: windlass.FeatureStore) -> None:
    (snapshot,) = store.snapshots()
    assert (snapshot.number, snapshot.events, snapshot.entities) == (1, 3, 2)
    assert store.snapshot(1).digest == snapshot.digest
    assert len(snapshot.to_pandas("events")) == 3
    lazy = snapshot.to_polars("latest")
    assert isinstance(lazy, pl.LazyFrame)
    assert sorted(lazy.collect()["client"].to_list()) == [7, 8]
    relation = snapshot.to_duckdb("states")
    assert relation.filter("client = 7").fetchall()[0][0] == 7
    assert "<table>" in store.snapshots()._repr_html_()
    with pytest.raises(FeatureError, match="no table 'rows'"):
        snapshot.to_pandas("rows")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(FeatureError, match="no snapshot 9"):
        store.snapshot(9)


def test_an_entity_that_is_being_erased_is_left_out(
    lending: LendingProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from windlass.features.offline.erasure import ErasedEntities

    home = lending.folder / "home"
    monkeypatch.setenv("WINDLASS_HOME", str(home))
    raw = lending.raw("loans.csv", *LOANS)
    run_cli("features", "build", lending.folder, "--data", raw)
    store = windlass.features(lending.folder)
    folder = home / "features" / store.project
    ErasedEntities.read(folder).add(folder, 7)  # as an erasure that was killed leaves it
    snapshot = store.snapshot()
    assert snapshot.to_polars("states").collect()["client"].to_list() == [8]
    assert snapshot.to_pandas("events")["client"].tolist() == [8]
    assert [row[0] for row in snapshot.to_duckdb("latest").fetchall()] == [8]


def test_a_project_without_a_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    with pytest.raises(FeatureError, match="declares no feature view"):
        windlass.features(IRIS)
