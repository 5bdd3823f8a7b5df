"""Views that declare as little as they can, from a raw file to a prediction: one stored column, or one on demand."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from tests.support.cli import run_cli
from tests.support.lending_project import LendingProject
from tests.support.paths import project_folder

from windlass.core.project_loader import load_project
from windlass.features.engines.duckdb import features_of_file
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.store import OfflineStore
from windlass.settings import Settings

IMPORTED = "FeatureView, Project, Row, column"
STORED = 'visits_before: int | None = column("Visits before this one", ge=0, example=2)'
TRANSFORM = "transform=count_visits,"
RAW = pl.DataFrame(
    {
        "patient": [row % 40 for row in range(240)],
        "day": [f"2024-{1 + row // 40:02}-01" for row in range(240)],
        "visit": list(range(240)),
        "ill": [int(row % 3 == 0) for row in range(240)],
    }
)
BORN = RAW.with_columns(born=pl.format("{}-05-01", 1940 + pl.col("patient")))

ON_DEMAND = {
    IMPORTED: f"{IMPORTED}, YearsSince",
    STORED: 'age: int | None = column("Completed years", ge=0, example=40)',
    TRANSFORM: 'transform=keep_birthday, at_request={"age": YearsSince("born")},',
}
AS_THE_REQUEST_SAYS = {
    STORED: "born_before: bool | None = column('Whether the birthday is known')",
    TRANSFORM: "transform=is_known, request_columns=['born_before'],",
    "class Patient": (
        "def is_known(visits: Any) -> Any:\n"
        "    return visits.select('patient', 'day', 'visit', born_before=~nw.col('born').is_null())\n\n\n"
        "class Patient"
    ),
}
TIMED = {
    "from typing": "from datetime import timedelta\nfrom typing",
    TRANSFORM: f"{TRANSFORM} ttl=timedelta(days=9999), max_age=timedelta(days=9),",
}


@pytest.mark.parametrize(
    ("changes", "raw"),
    [
        pytest.param({}, RAW, id="one stored column"),
        pytest.param(TIMED, RAW, id="with ttl and max_age"),
        pytest.param(ON_DEMAND, BORN, id="one on-demand feature"),
        pytest.param(AS_THE_REQUEST_SAYS, BORN, id="one request column"),
    ],
)
def test_a_view_without_what_is_optional_is_built_materialised_trained_and_scored(
    tmp_path: Path, changes: Mapping[str, str], raw: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "visits"
    visits = LendingProject.copied(folder, project_folder("visits"))
    for old, new in changes.items():
        visits.change(old, new)
    raw[:200].write_csv(tmp_path / "raw.csv")
    raw[200:].write_csv(tmp_path / "more.csv")
    raw.with_columns(pl.col("day", *{"born"} & {*raw.columns}).str.to_date()).write_parquet(
        tmp_path / "raw.parquet"
    )

    assert run_cli("features", "check", tmp_path / "raw.csv", "--project", folder).code == 0
    for options in (("raw.csv",), ("more.csv", "--append")):
        ended = run_cli("features", "build", folder, "--data", tmp_path / options[0], *options[1:])
        assert ended.code == 0, ended.err
    assert "Snapshot 2 of visits: 240 events of 40 entities" in ended.out
    ended = run_cli("features", "materialise", folder)
    assert ended.code == 0, ended.err
    (stored,) = run_cli("features", "get", folder, 7, "--json").json()
    ended = run_cli("train", folder, "--no-track")
    assert ended.code == 0, ended.err
    assert run_cli("verify", folder, "v1").code == 0

    project, _ = load_project(folder)
    assert project.view is not None
    assert project.view_record is not None
    (name,) = project.view_record.features
    features = features_of_file(project.view, project.view_record, tmp_path / "raw.parquet")
    assert features.column_names == ["patient", "day", "visit", name]
    snapshot = OfflineStore.from_settings(Settings.read(), "visits").current()
    assert snapshot is not None
    labels = pl.DataFrame({"patient": [7, 77], "at": ["2024-06-02", "2024-06-02"]})
    dates = labels.with_columns(pl.col("at").str.to_date())
    joined = point_in_time(project.view_record, snapshot, dates, "at").to_pylist()
    assert joined[1][name] is None
    assert joined[0][name] is not None
    if name != "age":  # which is of today online
        assert stored["features"][name] == joined[0][name]

    pl.DataFrame({name: [joined[0][name]]}).write_csv(tmp_path / "rows.csv")
    files = ("--input", tmp_path / "rows.csv", "--output", tmp_path / "predicted.csv")
    ended = run_cli("predict", folder, "v1", *files)
    assert ended.code == 0, ended.err
    assert "Scored 1 of 1 row" in ended.out
