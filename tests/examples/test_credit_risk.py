"""Credit risk: loans that are made up, their contract and the five features."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.support.credit_example import (
    DATES,
    REAL,
    SAMPLE,
    Example,
    build_snapshot,
    needs_sample,
)

from windlass.core.project import Project
from windlass.core.row_validator import RowValidator
from windlass.errors import WindlassError
from windlass.features.engines.duckdb import features_of_file
from windlass.features.offline.snapshot import Snapshot


def test_generated_loans_are_always_the_same_in_either_format(
    example: Example, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.csv")]
    counts = {example.generate.generate(60, 3, file) for file in files}
    tables = [pl.read_parquet(files[0]), pl.read_parquet(files[1])]
    tables.append(pl.read_csv(files[2], schema_overrides=dict(tables[0].schema)))
    assert counts == {tables[0].height}
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    example.generate.generate(60, 4, files[1])
    assert not tables[0].equals(pl.read_parquet(files[1]))


def test_chunks_of_clients_have_ids_of_their_own(example: Example, tmp_path: Path) -> None:
    rows = example.generate.generate(100, 1, tmp_path / "loans.parquet", chunk=40, faulty=0.0)
    loans = pl.read_parquet(tmp_path / "loans.parquet")
    assert loans["id"].n_unique() == 100
    assert sorted(loans["loan_id"]) == list(range(1000, 1000 + rows))
    assert loans["id"].min() == 5008804


@pytest.mark.parametrize(("clients", "name"), [(0, "loans.csv"), (3, "loans.xlsx")])
def test_what_cannot_be_generated_is_reported(
    example: Example, tmp_path: Path, clients: int, name: str
) -> None:
    with pytest.raises(WindlassError, match=r"0 clients|loans\.xlsx"):
        example.generate.generate(clients, 1, tmp_path / name)


@needs_sample
def test_generated_loans_look_like_the_real_file(raw: Path) -> None:
    real = pl.scan_parquet(REAL / "dataset_credit_risk.parquet")
    generated = pl.scan_parquet(raw)
    assert generated.collect_schema().names() == real.collect_schema().names()
    assert dict(generated.collect_schema()) == dict(real.collect_schema())
    shapes = [_shape(rows) for rows in (generated, real)]
    for name, (expected, tolerance) in {
        "clients": (21.33, 1.5),
        "late": (0.01488, 0.006),
        "sentinel": (0.1645, 0.04),
        "starting": (0.1236, 0.04),
        "same_day": (0.0413, 0.01),
        "women": (0.667, 0.04),
        "idle": (0.309, 0.05),
        "amount": (129.6, 3),
    }.items():
        for shape in shapes:
            assert shape[name] == pytest.approx(expected, abs=tolerance), name


def _shape(rows: pl.LazyFrame) -> dict[str, float]:
    no_job = pl.col("job_start_date") > "3000"
    statistics = rows.filter(pl.col("id").is_not_null(), pl.col("loan_amount") > 0).select(
        clients=pl.len() / pl.col("id").n_unique(),
        late=(pl.col("status") == 1).mean(),
        sentinel=no_job.mean(),
        starting=(~no_job & (pl.col("job_start_date") > pl.col("loan_date"))).mean(),
        same_day=pl.struct("id", "loan_date").is_duplicated().mean(),
        women=(pl.col("code_gender") == "F").mean(),
        idle=pl.col("occupation_type").is_null().mean(),
        amount=pl.col("loan_amount").mean(),
    )
    return statistics.collect().row(0, named=True)


def test_every_generated_fault_is_quarantined_and_every_warning_counted(
    example: Example, snapshot: Snapshot
) -> None:
    quality = snapshot.quality
    assert 0 < quality["share"] < 0.003
    reasons = {reason.split(":")[0] for reason in quality["reasons"]}
    assert reasons == set(example.generate.FAULTS)
    assert {"no job: the sentinel date", "the job starts after the loan"} <= set(
        quality["oddities"]
    )


@pytest.mark.parametrize(
    ("column", "value", "expected_reason"),
    [
        ("birthday", "2025-01-01", "born after the loan"),
        ("job_start_date", "1900-02-01", "employed before birth"),
        ("job_start_date", "2999-12-31", "job_start_date: neither a date nor the sentinel"),
        ("days_employed", 4, "days_employed: neither days nor the sentinel"),
        ("loan_date", "2999-01-01", "loan_date: in_range"),
        ("occupation_type", "Astronauts", "occupation_type: isin"),
        ("cnt_fam_members", None, "cnt_fam_members: is null"),
        ("amt_income_total", "plenty", "amt_income_total: is not a number"),
    ],
)
def test_a_row_that_breaks_the_contract_is_quarantined_with_the_reason(
    example: Example, tmp_path: Path, column: str, value: Any, expected_reason: str
) -> None:
    file = tmp_path / "loans.csv"
    example.generate.generate(30, 2, file)
    rows = pl.read_csv(file, infer_schema=False).filter(pl.col("birthday").is_not_null())
    broken = pl.when(pl.int_range(pl.len()) == 5).then(pl.lit(value, pl.String)).otherwise(column)
    rows.with_columns(broken.alias(column)).write_csv(file)
    quality = build_snapshot(example.project, tmp_path, file).quality
    assert [1 for reason in quality["reasons"] if reason.startswith(expected_reason)]


@pytest.mark.parametrize(
    ("changes", "rows", "odd"),
    [
        ({"birthday": "1950-01-01"}, 1, "days_birth is not the birthday"),
        ({"days_birth": "-15444"}, 1, "days_birth is not the birthday"),
        ({"job_start_date": "2019-01-01"}, 1, "days_employed is not the start of the job"),
        ({"days_employed": "365243"}, 1, "days_employed is not the start of the job"),
        ({"birthday": "1950-01-01"}, 3, "birthday: several for one id"),
        ({"code_gender": "?"}, 3, "code_gender: several for one id"),
    ],
)
def test_contradictions_are_warnings_and_pass(
    example: Example,
    tmp_path: Path,
    changes: dict[str, str],
    rows: int,
    odd: str,
) -> None:
    file = tmp_path / "loans.csv"
    example.generate.generate(30, 2, file, faulty=0.0)
    before = pl.read_csv(file, infer_schema=False)
    client = before.filter(pl.len().over("id") == 3)["id"][0]
    sex = before.filter(id=client)["code_gender"][0]
    new = {name: {"F": "M", "M": "F"}[sex] if to == "?" else to for name, to in changes.items()}
    is_first_row = (pl.col("id") == client) & (pl.int_range(pl.len()).over("id") == 0)
    before.with_columns(
        pl.when(is_first_row).then(pl.lit(to)).otherwise(name).alias(name)
        for name, to in new.items()
    ).write_csv(file)
    quality = build_snapshot(example.project, tmp_path, file).quality
    assert quality["quarantined"] == 0
    assert quality["oddities"][odd]["rows"] == rows


@needs_sample
def test_the_real_file_keeps_the_contract_also_without_the_two_columns(
    example: Example, tmp_path: Path
) -> None:
    pl.read_csv(SAMPLE).drop("days_birth", "days_employed").write_csv(tmp_path / "real.csv")
    for file in (SAMPLE, tmp_path / "real.csv"):
        snapshot = build_snapshot(example.project, tmp_path, file)
        assert (snapshot.events, snapshot.quality["quarantined"]) == (7830, 0)
        odd = snapshot.quality["oddities"]
        assert odd["the job starts after the loan"]["rows"] > 300
        assert not [
            warning for warning in odd if warning.startswith(("days_", "birthday", "code_gender"))
        ]


def _of_the_sample(project: Project, folder: Path) -> pl.DataFrame:
    """The features of every loan of the real sample."""
    assert project.view is not None
    assert project.view_record is not None
    pl.read_csv(SAMPLE).write_parquet(folder / "sample.parquet")
    return pl.DataFrame(
        features_of_file(project.view, project.view_record, folder / "sample.parquet")
    )


@needs_sample
def test_the_features_are_those_that_the_notebook_printed(example: Example, tmp_path: Path) -> None:
    features = _of_the_sample(example.project, tmp_path)
    client = features.filter(pl.col("id") == 5008804).sort("loan_date", "loan_id")
    assert client["nb_previous_loans"].to_list() == list(range(client.height))
    assert client["avg_amount_loans_previous"][0] is None
    printed = [102.283361, 119.442705, 117.873035, 114.289538]
    assert client["avg_amount_loans_previous"][1:5].to_list() == pytest.approx(printed, abs=1e-6)


@needs_sample
def test_the_features_agree_with_the_notebook_where_it_is_right(
    example: Example, tmp_path: Path
) -> None:
    import pandas as pd

    day = pd.Timestamp("2020-06-15")
    ours = _of_the_sample(example.project, tmp_path).to_pandas()
    theirs = example.notebook.notebook_features(pd.read_csv(SAMPLE), today=day)
    both = ours.merge(theirs, on="loan_id", suffixes=("", "_then"))
    assert len(both) == 7830
    several = both.duplicated(["id", "loan_date_then"], keep=False)
    later = both[~several]  # the notebook does not order the loans of a day
    assert (later["nb_previous_loans"] == later["nb_previous_loans_then"]).all()
    for name in ("avg_amount_loans_previous", "flag_own_car"):
        expected = later[f"{name}_then"].to_numpy(float)
        np.testing.assert_allclose(later[name].to_numpy(float), expected, rtol=0, atol=1e-6)
    near = both[(both["loan_date_then"] - day).abs() < pd.Timedelta(days=20)]
    assert ((near["age"] - near["age_then"]).abs() <= 1).all()  # its years have 365 days
    assert (both["years_on_the_job_then"] < -900).any()  # the sentinel
    assert both["years_on_the_job"].min() == 0


def test_whatever_passes_the_contract_fits_the_row(example: Example) -> None:
    record = example.project.view_record
    assert record is not None
    oldest = dict.fromkeys(DATES, example.contract.FIRST_BIRTH)
    state = {"nb_previous_loans": 1, "avg_amount_loans_previous": 1e7, "flag_own_car": None}
    features = record.features_on(state | oldest, date(2049, 12, 31))
    assert features["age"] == features["years_on_the_job"] == 149
    RowValidator(example.project.schema).parse_row(json.dumps(features).encode())
