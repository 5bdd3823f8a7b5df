"""Odd cells of CSV as rows to predict and as raw events: they agree but for integers that a float rounds."""

import csv
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from windlass.core.row_schema import EPOCH, ColumnKind, ColumnSchema, RowSchema
from windlass.features.ingest.casting import cast_columns
from windlass.features.ingest.raw_files import RawFile
from windlass.tables.reader import TableReader
from windlass.tables.validate import validate_table

REFUSED = "refused"
DAY = float((date(2020, 1, 1) - EPOCH).days)
CELLS = [
    *("", "0", "1", "-1", "+1", "01", "-0", "1.0", "1.", "1.5", ".5", "-.5", "+.5", "1e3", "1E-3", "1e400", "1e-400"),
    *("inf", "-inf", "Infinity", "nan", "NaN", " 1", "1 ", "\t1", "1_000", "1,000", "1,5", "0x10", "0X10", "1e"),
    *("-0x1", "--1", "1-1", "999999999999999", "123456789012345678", "9223372036854775807", "9223372036854775808"),
    *("false", "x", "é"),
    *("1" * 400, "true", "True", "False", "TRUE", "FALSE", "t", "f", "yes", "no", "y", "N", "on", "Off", "-"),
    *("null", "None", "NULL", "NA", "N/A", "#N/A", "2020-01-01", "2020-02-29", "2019-02-29", "2020-02-30", "2020-1-1"),
    *("0001-01-01", "0000-01-01", "9999-12-31", "10000-01-01", "-0001-01-01", "+2020-01-01", " 2020-01-01", "20200101"),
    *("2020-01-01 ", "2020/01/01", "01.02.2020", "2020-W01-1", "2020-01-01T00:00:00", "2020-01-01 00:00:00"),
    *("2020-01-01T06:00:00", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00.000000001",
     "1577836800", "3021-09-18", "\uff11", "\u0663", 'a"b', "a,b"),
]  # fmt: skip
# integers that float64 would round: a model cannot have them, a key can
EXACT: dict[str, dict[str, float]] = {
    "integer": {text: int(text) for text in ("123456789012345678", "9223372036854775807")}
}
DTYPES = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
}


def predicted(file: Path, kind: str) -> list[Any]:
    """The cells as rows to predict: a number each, None where one is missing, or `REFUSED`."""
    column = ColumnSchema(name="cell", kind=ColumnKind(kind), nullable=True)
    with TableReader(file, "csv") as reader:
        table = pa.Table.from_batches(reader, reader.schema).select(["cell"])
    checked = validate_table(
        RowSchema.from_columns("Row", column), table, strings=True, limit=len(CELLS)
    )
    values = [None if np.isnan(value) else value for value in checked.batch.numeric[:, 0].tolist()]
    return [REFUSED if bad else value for value, bad in zip(values, checked.invalid, strict=True)]


def ingested(file: Path, kind: str) -> list[Any]:
    """The same as raw events."""
    (batch,) = RawFile.open(file).batches()
    frame, faults = cast_columns(batch.cells, {"cell": DTYPES[kind]})
    column = frame["cell"].cast(pl.Int32) if kind == "date" else frame["cell"]
    values = [None if value is None else float(value) for value in column]
    bad = set(faults["row"])
    return [REFUSED if row in bad else value for row, value in enumerate(values)]


@pytest.mark.parametrize("kind", DTYPES)
def test_both_readers_read_unusual_cells_alike(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "cells.csv"
    with file.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows([("row", "cell"), *enumerate(CELLS)])
    rows, events = predicted(file, kind), ingested(file, kind)
    assert len(rows) == len(events) == len(CELLS)
    assert rows[0] is events[0] is None
    differing = {
        cell: (row, event)
        for cell, row, event in zip(CELLS, rows, events, strict=True)
        if row != event
    }
    exact = {cell: (REFUSED, float(value)) for cell, value in EXACT.get(kind, {}).items()}
    assert differing == exact


def test_only_whole_dates_are_dates(tmp_path: Path) -> None:
    file = tmp_path / "cells.csv"
    file.write_text("cell\n2020-01-02\n2020-1-2\n+2020-01-02\n 2020-01-02\n")
    assert predicted(file, "date") == ingested(file, "date") == [DAY + 1, REFUSED, REFUSED, DAY + 1]


def test_both_report_the_lines_that_are_no_rows_with_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n3\n4,5\n6,7,8\n9,10\n")
    reported: list[Any] = []
    with TableReader(file, "csv", reported.append) as reader:
        assert pa.Table.from_batches(reader)["a"].to_pylist() == ["1", "4", "9"]
    (batch,) = RawFile.open(file).batches()
    assert batch.rows.to_list() == [1, 3, 5]
    assert batch.broken == reported
    assert [(line.row, line.cells, line.text) for line in reported] == [
        (1, 1, "3"),
        (3, 3, "6,7,8"),
    ]


def test_a_line_end_in_quotes_is_a_cells_for_rows_and_a_fault_of_raw_events(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('a,b\n1,"x\ny"\n2,z\n')
    with TableReader(file, "csv") as reader:
        assert pa.Table.from_batches(reader)["b"].to_pylist() == ["x\ny", "z"]
    (batch,) = RawFile.open(file).batches()
    assert batch.rows.to_list() == [3]
    assert [(line.row, line.text, line.opens_quote) for line in batch.broken] == [
        (0, '1,"x', True),
        (1, 'y"', False),
    ]
