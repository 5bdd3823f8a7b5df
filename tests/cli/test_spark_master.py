"""`--master` without `--engine spark` would be ignored, and is refused before anything is done."""

import pytest
from tests.support.cli import run_cli

MASTER = ["--master", "spark://nowhere:7077"]


@pytest.mark.parametrize(
    "command",
    [
        ["features", "build"],
        ["features", "build", "--engine", "duckdb"],
        ["pipeline"],
        ["pipeline", "--engine", "duckdb"],
        ["predict", "--input", "rows.parquet", "--output", "out.parquet"],
    ],
    ids=" ".join,
)
def test_a_master_without_spark(command: list[str]) -> None:
    ended = run_cli(*command, *MASTER)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "Add --engine spark, or leave it out." in ended.err
