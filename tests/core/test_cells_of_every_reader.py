"""What is a number or a date as text is so for every reader: JSON, CSV, tables, raw events, flags, query parameters."""

from collections.abc import Callable
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest

from windlass.cli.train_flags import PlainNumber
from windlass.control.request_body import whole_number
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator
from windlass.errors import RowsError
from windlass.serving.feature_routes import _INTEGER as PATH_ID
from windlass.tables.text_cells import read_dates, read_integers, read_numbers
from windlass.tables.validate import validate_table
from windlass.web.problems import Problem

Reader = Callable[[str], bool]


def schema(kind: ColumnKind) -> RowSchema:
    return RowSchema.from_columns("Cell", ColumnSchema(name="a", kind=kind))


def text_row(kind: ColumnKind) -> Reader:
    """A row of CSV, as `/invocations` reads it."""
    validator = RowValidator(schema(kind))

    def accepts(cell: str) -> bool:
        try:
            validator.parse_text_row({"a": cell})
        except RowsError:
            return False
        return True

    return accepts


def table(kind: ColumnKind) -> Reader:
    """A table of CSV, as `/predict_batch` and `windlass predict` read it."""

    def accepts(cell: str) -> bool:
        return not validate_table(schema(kind), pa.table({"a": [cell]}), strings=True).invalid[0]

    return accepts


def json_row(kind: ColumnKind) -> Reader:
    """A row of JSON with the cell as it is: a number, or what is not JSON."""
    validator = RowValidator(schema(kind))

    def accepts(cell: str) -> bool:
        written = f'"{cell}"' if kind is ColumnKind.DATE else cell
        try:
            validator.parse_row(f'{{"a": {written}}}'.encode())
        except RowsError:
            return False
        return True

    return accepts


def raw_event(kind: ColumnKind) -> Reader:
    """A cell of a file of raw events."""
    readers = {
        ColumnKind.INTEGER: read_integers,
        ColumnKind.NUMBER: read_numbers,
        ColumnKind.DATE: read_dates,
    }

    def accepts(cell: str) -> bool:
        return bool(readers[kind](pa.array([cell])).null_count == 0)

    return accepts


def flag(kind: click.ParamType[Any]) -> Reader:
    def accepts(cell: str) -> bool:
        try:
            PlainNumber(kind).convert(cell, None, None)
        except click.BadParameter:
            return False
        return True

    return accepts


def query_parameter(cell: str) -> bool:
    try:
        whole_number({"limit": cell}, "limit", 1, 10_000_000)
    except Problem:
        return False
    return True


def path_id(cell: str) -> bool:
    return PATH_ID(cell) is not None


def of_rows(kind: ColumnKind) -> list[Reader]:
    return [text_row(kind), table(kind), json_row(kind), raw_event(kind)]


INTEGERS = [*of_rows(ColumnKind.INTEGER), flag(click.INT), query_parameter, path_id]
NUMBERS = [*of_rows(ColumnKind.NUMBER), flag(click.FLOAT)]
DATES = of_rows(ColumnKind.DATE)

CELLS = [
    (INTEGERS, "30", True), (INTEGERS, "1_000", False), (INTEGERS, "30.5", False), (INTEGERS, "1,000", False),
    (INTEGERS, "\u0663", False), (INTEGERS, "\uff11", False), (INTEGERS, "0x10", False), (INTEGERS, "x", False),
    (NUMBERS, "30", True), (NUMBERS, "30.5", True), (NUMBERS, "1e3", True), (NUMBERS, "1_000.5", False),
    (NUMBERS, "1_000", False), (NUMBERS, "1,5", False), (NUMBERS, "\u0663", False), (NUMBERS, "0x10", False),
    (DATES, "2025-01-02", True), (DATES, "86400", False), (DATES, "1735776000", False), (DATES, "0", False),
    (DATES, "2025-01-02T00:00:00Z", False), (DATES, "2025-01-02T00:00:00+02:00", False),
    (DATES, "2025-01-02 00:00:00-00:00", False), (DATES, "2025-01-02T00:00:00.000000001", False),
    (DATES, "2025-01-02T06:00:00", False), (DATES, "2025-01-02 00:00:00 ", False),
    (DATES, "02.01.2025", False), (DATES, "01/02/2025", False), (DATES, "20250102", False), (DATES, "1e5", False),
]  # fmt: skip


@pytest.mark.parametrize(("readers", "cell", "accepted"), CELLS)
def test_every_reader_agrees(readers: list[Reader], cell: str, accepted: bool) -> None:
    assert [reader(cell) for reader in readers] == [accepted] * len(readers)


@pytest.mark.parametrize("reader", of_rows(ColumnKind.INTEGER))
def test_an_integer_with_an_exponent_is_one_in_json_only(reader: Reader) -> None:
    is_json = reader.__qualname__.startswith("json_row")
    assert reader("1e2") == reader("100e-2") == is_json


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", [ColumnKind.INTEGER, ColumnKind.NUMBER])
@pytest.mark.parametrize("cell", ["-0", "-0.0"])
def test_every_reader_gives_a_zero_without_a_sign(
    kind: ColumnKind, nullable: bool, cell: str
) -> None:
    declared = RowSchema.from_columns("Cell", ColumnSchema(name="a", kind=kind, nullable=nullable))
    validator, row = RowValidator(declared), f'{{"a": {cell}}}'.encode()
    of_json, of_csv = validator.parse_row(row), validator.parse_text_row({"a": cell})
    tables = {
        "csv": validate_table(declared, pa.table({"a": [cell]}), strings=True),
        "arrow": validate_table(declared, pa.table({"a": [float(cell)]})),
        "half floats": validate_table(declared, pa.table({"a": np.array([cell], np.float16)})),
    }
    batches = {
        "JSON row": validator.to_batch([of_json]),
        "JSON rows": validator.to_batch([of_json, of_json]),
        "JSON batch": validator.parse_batch(b"[" + row + b"]")[1],
        "CSV row": validator.to_batch([of_csv]),
        **{name: table.batch for name, table in tables.items()},
    }
    assert not [name for name, batch in batches.items() if batch.numeric.any()]
    assert not [name for name, batch in batches.items() if np.signbit(batch.numeric).any()]
