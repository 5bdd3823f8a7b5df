"""Quality: every fault named, every bad row in quarantine once, and a threshold that stops the build."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from tests.support.loan_view import VIEW, contract, make_loans
from tests.support.snapshots import build_snapshot, offline_store, read_sorted

from windlass.errors import FeatureError, ProjectError, QualityError
from windlass.features.ingest.contract import Contract
from windlass.features.ingest.ingest import check_raw_file
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import erase

GOOD = (
    "loan_id,id,code_gender,flag_own_car,birthday,job_start_date,loan_date,loan_amount,status,note\n"
    "1,7,F,Y,1980-01-01,3021-09-18,2020-01-01,100,0,a\n"
    "2,7,F,,1980-01-01,,2020-01-02,50,1,\n"
)
LAX = replace(VIEW, max_invalid_share=1.0)


def quarantined(tmp_path: Path, lines: str) -> list[dict[str, Any]]:
    file = tmp_path / "raw.csv"
    file.write_text(GOOD + lines)
    snapshot = build_snapshot(offline_store(tmp_path), file, view=LAX)
    return pl.read_parquet(snapshot.quarantine_parts()).to_dicts()


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        ("3,8,X,Y,1980-01-01,,2020-01-01,100,0,", ["code_gender: isin(['F', 'M'])"]),
        ("3,8,F,Y,1980-01-01,,2020-01-01,-1,2,", ["loan_amount: greater_than(0)", "status: isin([0, 1])"]),
        ("3,8,,Y,1980-01-01,,2020-01-01,1,0,", ["code_gender: is null"]),
        ("3,8,F,Y,1980-01-01,,2020-13-01,1,0,", ["loan_date: is not a date (YYYY-MM-DD)"]),
        ("3,8,F,Y,1980-01-01,,-0001-01-01,1,0,", ["loan_date: is not a date (YYYY-MM-DD)"]),
        ("x,8,F,Y,1980-01-01,,2020-01-01,1,0,", ["loan_id: is not a whole number"]),
        ("3,,F,Y,1980-01-01,,2020-01-01,1,0,", ["id: is null"]),
        ("2,8,F,Y,1980-01-01,,2020-01-01,1,0,", ["loan_id: duplicate"]),
        ("3,8,F,Y", ["the line has too many or too few cells"]),
        ('3,8,"F,Y,1980-01-01', ["the line opens a quote and does not close it"]),
    ],
)  # fmt: skip
def test_a_bad_row_is_quarantined_with_every_reason(
    tmp_path: Path, line: str, reasons: list[str]
) -> None:
    (row,) = quarantined(tmp_path, line + "\n")
    assert sorted(row["reasons"]) == reasons
    assert (row["file"], row["row"]) == ("raw.csv", 3)
    if line.count(",") == 9:
        names = GOOD.partition("\n")[0].split(",")
        cells = [cell or None for cell in line.split(",")]
        assert json.loads(row["raw"]) == dict(zip(names, cells, strict=True))
    else:
        assert row["raw"] == line


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (pl.Series([1 << 30], dtype=pl.Int32).cast(pl.Date), "<value out of range: 1073741824>"),
        (pl.Series([1 << 62]).cast(pl.Datetime("us")), "<value out of range: 4611686018427387904>"),
        (pl.Series([1 << 62]).cast(pl.Datetime("us", "Asia/Tokyo")), "<value out of range: 4611686018427387904>"),
        (pl.Series([1 << 62]).cast(pl.Datetime("ms")), "<value out of range: 4611686018427387904>"),
    ],
)  # fmt: skip
def test_a_date_that_python_has_not_is_quarantined_as_text(
    tmp_path: Path, cells: pl.Series, text: str
) -> None:
    loans = make_loans(3, seed=1).head(1).with_columns(loan_date=cells, ignored=cells)
    snapshot = build_snapshot(offline_store(tmp_path), loans, view=LAX)
    (row,) = pl.read_parquet(snapshot.quarantine_parts()).to_dicts()
    assert row["reasons"] == ["loan_date: is not a date (YYYY-MM-DD)"]
    raw_row = json.loads(row["raw"])
    assert (raw_row["loan_date"], raw_row["ignored"]) == (text, text)
    assert raw_row["birthday"] == str(loans["birthday"][0])


def test_the_report_counts_rows_for_each_reason(tmp_path: Path) -> None:
    file = tmp_path / "raw.csv"
    file.write_text(
        GOOD + "3,8,X,Y,1980-01-01,,2020-01-01,-5,0,\n" + "4,8,X,Y,1980-01-01,,2020-01-01,5,0,\n"
    )
    quality = build_snapshot(offline_store(tmp_path), file, view=LAX).quality
    assert quality["reasons"] == {
        "code_gender: isin(['F', 'M'])": {"rows": 2, "share": 0.5},
        "loan_amount: greater_than(0)": {"rows": 1, "share": 0.25},
    }
    assert (quality["rows"], quality["passed"], quality["quarantined"], quality["share"]) == (4, 2, 2, 0.5)  # fmt: skip
    assert quality["ignored_columns"] == ["note"]


@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_passes_or_is_quarantined_or_erased(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    names, *lines = make_loans(60, seed).write_csv().splitlines()
    rubbish = ["", "x", "-7", "3021-09-18", "1e400", '"a,b"', "é", "1000", "NaN"]
    for index in random.sample(range(len(lines)), 90):
        cells = lines[index].split(",")
        cells[random.randrange(len(cells))] = random.choice(rubbish)
        lines[index] = ",".join(cells + ["more"] * random.choice([0, 0, 0, 1]))
    file, store = tmp_path / "raw.csv", offline_store(tmp_path)
    file.write_text("\n".join([names, *lines]))
    build_snapshot(store, file, view=LAX)
    erase(store, 110)
    snapshot = build_snapshot(store, file, view=LAX)
    quality, bad = snapshot.quality, pl.read_parquet(snapshot.quarantine_parts())
    assert quality["passed"] == snapshot.events
    assert quality["quarantined"] == bad.height == bad["row"].n_unique()
    assert quality["passed"] + bad.height + quality["erased"] == quality["rows"] == len(lines)
    column = names.split(",").index("loan_id")
    passed = set(pl.read_parquet(snapshot.event_parts())["loan_id"])
    quarantined = {
        line.split(",")[column] for number, line in enumerate(lines, 1) if number in set(bad["row"])
    }
    gone = (
        {line.split(",")[column] for line in lines} - quarantined - {str(loan) for loan in passed}
    )
    assert min(len(passed), len(quarantined), len(gone)) > 0
    assert len(gone) <= quality["erased"]


def test_duplicate_keys_are_detected_over_batches_and_appends(tmp_path: Path) -> None:
    options = BuildOptions(parquet_rows=50)
    loans = make_loans(60, seed=1)
    first, again = loans.head(loans.height - 40), loans.tail(40)
    store = offline_store(tmp_path)
    snapshot = build_snapshot(store, pl.concat([first, first.head(5)]), options, LAX)
    assert snapshot.quality["reasons"] == {
        "loan_id: duplicate": {"rows": 5, "share": 5 / (first.height + 5)}
    }
    assert pl.read_parquet(snapshot.quarantine_parts())["row"].to_list() == list(
        range(first.height + 1, first.height + 6)
    )
    changed = first.head(3).with_columns(loan_amount=pl.lit(9.0))
    options = replace(options, append=True)
    appended = build_snapshot(store, pl.concat([changed, again]), options, LAX)
    assert appended.quality["quarantined"] == 3
    assert (
        read_sorted(appended.event_parts())
        .drop("days_birth")
        .equals(loans.sort("id", "loan_date", "loan_id"))
    )
    assert pl.read_parquet(appended.quarantine_parts()).height == 8


def test_too_many_faults_stop_the_build_and_the_old_snapshot_stands(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    loans = make_loans(50, seed=2)
    before = build_snapshot(store, loans)
    bad = loans.with_columns(loan_amount=pl.when(pl.col("id") % 10 == 0).then(-1.0).otherwise(1.0))
    with pytest.raises(QualityError, match=r"greater_than\(0\) \(\d+\).*refused.parquet"):
        build_snapshot(store, bad)
    assert store.snapshot().number == before.number
    assert [snapshot.number for snapshot in store.snapshots()] == [before.number]
    refused = pl.read_parquet(store.folder / "refused.parquet")
    assert refused.height == bad.filter(pl.col("loan_amount") < 0).height
    assert build_snapshot(store, loans).number == before.number + 1


def test_checks_that_only_warn_are_counted_and_the_row_passes(tmp_path: Path) -> None:
    def lenient() -> Any:
        import pandera.polars as pa

        schema = contract()
        return schema.update_column(
            "loan_date", checks=pa.Check.lt(date(2020, 1, 1), name="late", raise_warning=True)
        )

    loans = make_loans(40, seed=3)
    snapshot = build_snapshot(offline_store(tmp_path), loans, view=replace(VIEW, contract=lenient))
    late = loans.filter(pl.col("loan_date") >= date(2020, 1, 1)).height
    assert snapshot.events == loans.height
    assert snapshot.quality["quarantined"] == 0
    assert [count["rows"] for count in snapshot.quality["oddities"].values()] == [late]


def constant() -> Any:
    """The contract, by which a client has one birthday and one sex."""
    schema = contract()
    for name in ("birthday", "code_gender"):
        schema.columns[name].metadata = {"constant": True}
    return schema


def test_an_entity_of_several_values_that_ought_to_be_constant_is_counted(tmp_path: Path) -> None:
    view, store = replace(VIEW, contract=constant), offline_store(tmp_path)
    loans = make_loans(40, seed=3).sort("loan_id")
    three = loans.filter(pl.len().over("id") > 1)["id"].unique().sort().head(3)
    chosen = pl.col("id").is_in(three.implode())
    man = chosen & (pl.int_range(pl.len()).over("id") == 1)  # by the second of their loans
    loans = loans.with_columns(code_gender=pl.when(man).then(pl.lit("M")).otherwise(pl.lit("F")))
    several = loans.filter(chosen)
    snapshot = build_snapshot(store, loans, view=view)
    assert warnings_of(snapshot.quality) == {"code_gender: several for one id": (several.height, 3)}
    assert snapshot.events == loans.height
    report = check_raw_file(view, store.folder / "raw.parquet", "64MB", None, lambda *_: None)
    assert report.warnings == {"code_gender: several for one id": several.height}


def test_an_append_is_compared_with_what_is_stored(tmp_path: Path) -> None:
    view, store = replace(VIEW, contract=constant), offline_store(tmp_path)
    loans = make_loans(40, seed=3).with_columns(code_gender=pl.lit("F"))
    first = loans.unique("id", keep="first", maintain_order=True)
    new = loans.join(first, on="loan_id", how="anti")
    assert warnings_of(build_snapshot(store, first, view=view).quality) == {}
    born = pl.when(pl.col("id") == new["id"][0]).then(date(1950, 1, 1)).otherwise("birthday")
    changed = new.with_columns(birthday=born)
    rows = new.filter(pl.col("id") == new["id"][0]).height
    # a loan that is there already is no news of its client
    again = first.filter(pl.col("id") != new["id"][0]).head(1).with_columns(code_gender=pl.lit("M"))
    appended = build_snapshot(
        store,
        pl.concat([changed, again]),
        BuildOptions(append=True),
        replace(view, max_invalid_share=1),
    )
    assert appended.quality["quarantined"] == 1
    assert warnings_of(appended.quality) == {"birthday: several for one id": (rows, 1)}


def warnings_of(quality: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The rows and the entities of each warning."""
    return {
        reason: (counts["rows"], counts["entities"])
        for reason, counts in quality["oddities"].items()
    }


def test_a_check_that_raises_is_reported(tmp_path: Path) -> None:
    def broken() -> Any:
        import pandera.polars as pa

        schema = contract()
        schema.checks = [pa.Check(lambda data: data["nothing"], name="broken", raise_warning=True)]
        return schema

    with pytest.raises(FeatureError, match="'broken' of the contract failed"):
        build_snapshot(
            offline_store(tmp_path), make_loans(3, seed=1), view=replace(VIEW, contract=broken)
        )


def test_a_missing_column_is_reported(tmp_path: Path) -> None:
    with pytest.raises(
        FeatureError, match=r"lacks the columns id, status.* Name a file that has them"
    ):
        build_snapshot(offline_store(tmp_path), make_loans(3, seed=1).drop("id", "status"))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="has no rows"):
        build_snapshot(offline_store(tmp_path), make_loans(3, seed=1).head(0))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (lambda: {"loan_id": int}, "is a dict"),
        (lambda: contract().remove_columns(["loan_date"]), "required column loan_date of type Date"),
        (lambda: contract().update_column("loan_amount", dtype=None), "loan_amount no type"),
        (lambda: contract().columns["absent"], "failed: KeyError"),
    ],
)  # fmt: skip
def test_an_invalid_contract_is_refused(contract: Any, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        Contract.from_view(replace(VIEW, contract=contract))


def test_a_failed_check_of_the_whole_table_is_reported(tmp_path: Path) -> None:
    def whole() -> Any:
        import pandera.polars as pa

        schema = contract()
        schema.checks = [pa.Check(lambda data: False, name="never")]
        return schema

    with pytest.raises(FeatureError, match="does not say for which rows"):
        build_snapshot(
            offline_store(tmp_path), make_loans(3, seed=1), view=replace(VIEW, contract=whole)
        )


def test_check_validates_and_builds_nothing(tmp_path: Path) -> None:
    file, quarantine = tmp_path / "raw.csv", tmp_path / "bad.parquet"
    file.write_text(
        GOOD + "2,8,X,Y,1980-01-01,,2020-01-01,1,0,\n1,7,F,Y,1980-01-01,,2020-01-01,1,0,\n"
    )
    report = check_raw_file(VIEW, file, "256MB", quarantine, lambda *_: None)
    assert (report.rows, report.quarantined) == (4, 2)
    assert pl.read_parquet(quarantine)["row"].to_list() == [3, 4]
    assert sorted(tmp_path.iterdir()) == [quarantine, file]
