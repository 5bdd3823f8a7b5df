"""What is a number or a date as text is so for every reader: JSON, CSV, tables, raw events, flags, query parameters."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest

from windlass.cli.train_flags import PlainNumber
from windlass.control.request_body import whole_number
from windlass.core.csv_format import CsvFormat
from windlass.core.entity_ids import EntityIds
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator, Values
from windlass.errors import IdError, RowsError
from windlass.tables.text_cells import (
    null_missing,
    read_booleans,
    read_dates,
    read_integers,
    read_numbers,
)
from windlass.tables.validate import validate_table
from windlass.web.problems import Problem

Reader = Callable[[str], bool]


def schema(kind: ColumnKind) -> RowSchema:
    return RowSchema.from_columns("Cell", ColumnSchema(name="a", kind=kind))


def text_row(kind: ColumnKind) -> Reader:
    """A row of CSV, as `/invocations` reads it."""
    return lambda cell: in_text_row(schema(kind), cell) is not REFUSED


def table(kind: ColumnKind) -> Reader:
    """A table of CSV, as `/predict_batch` and `windlass predict` read it."""
    return lambda cell: in_csv_table(schema(kind), cell) is not REFUSED


def json_row(kind: ColumnKind) -> Reader:
    """A row of JSON with the cell as it is: a number, or what is not JSON."""

    def accepts(cell: str) -> bool:
        written = f'"{cell}"' if kind is ColumnKind.DATE else cell
        return in_json(schema(kind), written) is not REFUSED

    return accepts


REFUSED = "refused"


def in_text_row(declared: RowSchema, cell: str) -> Any:
    """The value of the column `a`; `REFUSED` where the row is invalid."""
    return value_of(lambda: RowValidator(declared).parse_text_row({"a": cell}))


def in_json(declared: RowSchema, written: str) -> Any:
    validator, row = RowValidator(declared), f'{{"a": {written}}}'.encode()
    single = value_of(lambda: validator.parse_row(row))
    assert single == value_of(lambda: validator.parse_rows(b"[" + row + b"]")[0])
    return single


def value_of(parse: Callable[[], Values]) -> Any:
    try:
        return parse()["a"]
    except RowsError:
        return REFUSED


def in_csv_table(declared: RowSchema, cell: str) -> Any:
    return in_table(declared, pa.array([cell]), strings=True)


def in_table(declared: RowSchema, array: Any, *, strings: bool = False) -> Any:
    checked = validate_table(declared, pa.table({"a": array}), strings=strings)
    (column,) = declared.columns
    numbers = checked.batch.numeric[0]
    value = checked.batch.text[0, 0] if column.is_text else numbers if column.length else numbers[0]
    value = column.to_json(value)
    if isinstance(value, str) and column.kind is ColumnKind.DATE:
        value = date.fromisoformat(value)
    if isinstance(value, str) and column.kind is ColumnKind.DATETIME:
        value = datetime.fromisoformat(value)
    return REFUSED if checked.invalid[0] else value


def raw_event(kind: ColumnKind) -> Reader:
    """A cell of a file of raw events."""
    readers = {
        ColumnKind.INTEGER: read_integers,
        ColumnKind.NUMBER: read_numbers,
        ColumnKind.BOOLEAN: read_booleans,
        ColumnKind.DATE: read_dates,
    }

    def accepts(cell: str) -> bool:
        return bool(readers[kind](null_missing(pa.array([cell]), strip=True)).null_count == 0)

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
    try:
        EntityIds(("id",), ("integer",)).parse([cell])
    except IdError:
        return False
    return True


def of_rows(kind: ColumnKind) -> list[Reader]:
    return [text_row(kind), table(kind), json_row(kind), raw_event(kind)]


INTEGERS = [*of_rows(ColumnKind.INTEGER), flag(click.INT), query_parameter, path_id]
NUMBERS = [*of_rows(ColumnKind.NUMBER), flag(click.FLOAT)]
DATES = of_rows(ColumnKind.DATE)
BOOLEANS = [
    text_row(ColumnKind.BOOLEAN), table(ColumnKind.BOOLEAN), raw_event(ColumnKind.BOOLEAN),
]  # fmt: skip

CELLS = [
    (INTEGERS, "30", True), (INTEGERS, "1_000", False), (INTEGERS, "30.5", False), (INTEGERS, "1,000", False),
    (INTEGERS, "\u0663", False), (INTEGERS, "\uff11", False), (INTEGERS, "0x10", False), (INTEGERS, "x", False),
    (NUMBERS, "30", True), (NUMBERS, "30.5", True), (NUMBERS, "1e3", True), (NUMBERS, "1_000.5", False),
    (NUMBERS, "1_000", False), (NUMBERS, "1,5", False), (NUMBERS, "\u0663", False), (NUMBERS, "0x10", False),
    (NUMBERS, "1 000", False),
    *((of_rows(ColumnKind.NUMBER), cell, False) for cell in ("inf", "-inf", "nan", "NaN", "Infinity", "1e400")),
    (INTEGERS, "1 000", False), (INTEGERS, "inf", False),
    *((BOOLEANS, word, True) for word in ("true", "FALSE", "Yes", "no", "t", "F", "y", "N", "on", "off", "1", "0.0")),
    *((BOOLEANS, word, False) for word in ("2", "ja", "x", "yess", "-1", "01", "nan", "None", "null")),
    (DATES, "2025-01-02", True), (DATES, "86400", False), (DATES, "1735776000", False), (DATES, "0", False),
    (DATES, "2025-01-02T00:00:00Z", False), (DATES, "2025-01-02T00:00:00+02:00", False),
    (DATES, "2025-01-02 00:00:00-00:00", False), (DATES, "2025-01-02T00:00:00.000000001", False),
    (DATES, "2025-01-02T06:00:00", False),
    (DATES, "02.01.2025", False), (DATES, "01/02/2025", False), (DATES, "20250102", False), (DATES, "1e5", False),
]  # fmt: skip


@pytest.mark.parametrize(("readers", "cell", "accepted"), CELLS)
def test_every_reader_agrees(readers: list[Reader], cell: str, accepted: bool) -> None:
    assert [reader(cell) for reader in readers] == [accepted] * len(readers)


@pytest.mark.parametrize("reader", of_rows(ColumnKind.INTEGER))
@pytest.mark.parametrize("cell", ["1e2", "100e-2", "30.0", "1.5e1"])
def test_a_whole_number_is_an_integer_however_it_is_written(reader: Reader, cell: str) -> None:
    assert reader(cell)


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


NA = ("", "NA", "?")
SEMICOLONS = CsvFormat(delimiter=";", decimal=",", thousands=".")
KINDS = list(ColumnKind)
# a valid cell of each kind as text, its value, and the same as JSON and as Arrow
VALID: dict[ColumnKind, tuple[str, Any, str, Any]] = {
    ColumnKind.NUMBER: ("1.5", 1.5, "1.5", pa.array([1.5])),
    ColumnKind.INTEGER: ("3", 3, "3", pa.array([3])),
    ColumnKind.BOOLEAN: ("yes", True, "true", pa.array([True])),
    ColumnKind.DATE: ("2025-01-02", date(2025, 1, 2), '"2025-01-02"', pa.array([date(2025, 1, 2)])),
    ColumnKind.DATETIME: (
        "2025-01-02 04:00:00+01:00", datetime(2025, 1, 2, 3, tzinfo=UTC), '"2025-01-02T03:00:00Z"',
        pa.array([datetime(2025, 1, 2, 3, tzinfo=UTC)]),
    ),
    ColumnKind.VECTOR: ("[1, 0.5]", [1.0, 0.5], "[1.0, 0.5]", pa.array([[1.0, 0.5]])),
    ColumnKind.CATEGORY: ("None", "None", '"None"', pa.array(["None"])),
}  # fmt: skip


def declare(
    kind: ColumnKind, *, nullable: bool, missing: tuple[str, ...] = (), **more: Any
) -> RowSchema:
    length = 2 if kind is ColumnKind.VECTOR else None
    column = ColumnSchema(name="a", kind=kind, nullable=nullable, length=length, **more)
    return RowSchema(title="Cell", columns=(column,), missing=missing)


def read_by_all(declared: RowSchema, cell: str) -> list[Any]:
    """What every reader of rows makes of a text: of CSV, of JSON, and of Arrow, plain and with a dictionary."""
    texts = pa.array([cell])
    return [
        in_text_row(declared, cell), in_csv_table(declared, cell), in_json(declared, f'"{cell}"'),
        in_table(declared, texts), in_table(declared, texts.cast(pa.large_string())),
        in_table(declared, texts.dictionary_encode()),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_reads_a_valid_cell(kind: ColumnKind) -> None:
    text, value, written, array = VALID[kind]
    for nullable in (False, True):
        declared = declare(kind, nullable=nullable, missing=NA)
        readings = [in_text_row(declared, text), in_csv_table(declared, text)]
        readings += [in_json(declared, written), in_table(declared, array)]
        assert readings == [value] * 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marker", NA)
def test_a_declared_marker_is_missing_for_every_reader(kind: ColumnKind, marker: str) -> None:
    readings = read_by_all(declare(kind, nullable=True, missing=NA), marker)
    assert readings == [None] * len(readings)
    readings = read_by_all(declare(kind, nullable=False, missing=NA), marker)
    assert readings == [REFUSED] * len(readings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["NA", "None", "null", "nan", "?"])
def test_what_is_not_declared_missing_is_a_category_or_refused(kind: ColumnKind, text: str) -> None:
    readings = read_by_all(declare(kind, nullable=True), text)
    expected = text if kind is ColumnKind.CATEGORY else REFUSED
    assert readings == [expected] * len(readings)


def test_an_empty_cell_of_csv_is_missing_and_an_empty_text_elsewhere_where_it_is_declared() -> None:
    declared = declare(ColumnKind.CATEGORY, nullable=True)
    assert read_by_all(declared, "") == [None, None, *[REFUSED] * 4]


def test_a_declared_category_is_never_missing() -> None:
    declared = declare(ColumnKind.CATEGORY, nullable=True, missing=NA, categories=("NA", "EU"))
    assert read_by_all(declared, "NA") == ["NA"] * 6
    assert read_by_all(declared, "?") == [None] * 6


@pytest.mark.parametrize(
    "kind", [ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN, ColumnKind.DATE]
)
def test_spaces_around_a_cell_of_csv_do_not_count_unless_it_is_text(kind: ColumnKind) -> None:
    declared = declare(kind, nullable=True, missing=NA)
    text, value, *_ = VALID[kind]
    for spaced in (f" {text}", f"{text}\t ", f" {text} "):
        assert in_text_row(declared, spaced) == in_csv_table(declared, spaced) == value
    for spaced in (" ", " NA", "? "):
        assert in_text_row(declared, spaced) is in_csv_table(declared, spaced) is None
    words = declare(ColumnKind.CATEGORY, nullable=True, missing=NA)
    assert in_text_row(words, " NA") == in_csv_table(words, " NA") == " NA"


@pytest.mark.parametrize(
    ("cell", "number", "integer"),
    [("1,5", 1.5, REFUSED), ("1.234,5", 1234.5, REFUSED), ("1.234", 1234, 1234), ("1234", 1234, 1234), ("1,0", 1, 1),
     ("1,5e1", 15, 15), ("-1.234.567", -1234567, -1234567), ("1.5", REFUSED, REFUSED), ("1.23,4", REFUSED, REFUSED),
     ("12.34.567", REFUSED, REFUSED), ("1.234.5", REFUSED, REFUSED), ("1,234,5", REFUSED, REFUSED),
     (",5", 0.5, REFUSED), (".234", REFUSED, REFUSED), ("1 234", REFUSED, REFUSED), (" 7,25 ", 7.25, REFUSED),
     ("9.007.199.254.740.993", 9007199254740992.0, REFUSED)],
)  # fmt: skip
def test_numbers_are_read_in_the_format_of_the_row(cell: str, number: Any, integer: Any) -> None:
    for kind, value in ((ColumnKind.NUMBER, number), (ColumnKind.INTEGER, integer)):
        column = ColumnSchema(name="a", kind=kind)
        declared = RowSchema(title="Cell", columns=(column,), csv=SEMICOLONS)
        assert in_text_row(declared, cell) == in_csv_table(declared, cell) == value


def test_groups_by_a_space_may_be_by_one_that_does_not_break() -> None:
    column = ColumnSchema(name="a", kind=ColumnKind.NUMBER)
    declared = RowSchema(title="Cell", columns=(column,), csv=CsvFormat(decimal=",", thousands=" "))
    for cell in ("1 234,5", "1\u00a0234,5", "1\u202f234,5", "1234,5"):
        assert in_text_row(declared, cell) == in_csv_table(declared, cell) == 1234.5


def test_a_marker_does_not_hide_a_field_that_a_row_has_twice() -> None:
    declared = declare(ColumnKind.NUMBER, nullable=True, missing=NA)
    for body in (b'{"a": "NA", "a": "NA"}', b'{"a": 1, "a": "NA"}', b'{"a": "NA", "a": 1}'):
        for parse, text in (
            (RowValidator(declared).parse_row, body),
            (RowValidator(declared).parse_rows, b"[" + body + b"]"),
        ):
            with pytest.raises(RowsError, match="twice"):
                parse(text)


def test_a_marker_is_missing_also_between_spaces_where_the_row_ignores_them() -> None:
    for categories in (None, ("EU",)):
        for strip in (False, True):
            declared = declare(
                ColumnKind.CATEGORY, nullable=True, missing=NA, categories=categories, strip=strip
            )
            unstripped = " NA " if categories is None else REFUSED
            assert read_by_all(declared, " NA ") == [None if strip else unstripped] * 6


def test_spaces_around_a_time_are_ignored_in_csv_only() -> None:
    declared = declare(ColumnKind.DATETIME, nullable=False)
    time = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    assert read_by_all(declared, " 2026-11-20T08:30:00Z ") == [time, time, *[REFUSED] * 4]
