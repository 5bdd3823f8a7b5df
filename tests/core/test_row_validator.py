"""RowValidator and validate_table agree: a table is validated as its rows would be, one by one."""

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import MAX_EXPLAINED_BYTES, MAX_FAULTS, RowValidator
from windlass.errors import RowsError
from windlass.tables.validate import ValidatedTable, validate_table

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
CATEGORIES = ("red", "green", "blå")
ARROW = {
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.DATE: pa.date32(),
    ColumnKind.DATETIME: pa.timestamp("us", "UTC"),
    ColumnKind.CATEGORY: pa.string(),
    ColumnKind.VECTOR: pa.list_(pa.float64()),
}
VALUES: dict[ColumnKind, st.SearchStrategy[Any]] = {
    ColumnKind.NUMBER: st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-100, 100).map(lambda tenths: tenths / 10),
    ColumnKind.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20),
    ColumnKind.BOOLEAN: st.booleans(),
    ColumnKind.DATE: st.dates() | st.dates(date(2019, 12, 1), date(2020, 3, 1)),
    ColumnKind.DATETIME: st.datetimes(timezones=st.just(UTC))
    | st.timedeltas(timedelta(-2), timedelta(2)).map(NOON.__add__),
    ColumnKind.CATEGORY: st.sampled_from(CATEGORIES) | st.text(max_size=6),
    ColumnKind.VECTOR: st.lists(
        st.none() | st.floats(-20, 20) | st.integers(-20, 20), min_size=1, max_size=3
    )
    | st.lists(st.floats(-9, 9), min_size=2, max_size=2),
}
TEXTS: dict[ColumnKind, st.SearchStrategy[str]] = {
    ColumnKind.NUMBER: st.floats().map(repr)
    | st.from_regex(r"\A[ +-]?[0-9_]{0,4}[.]?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?\Z"),
    ColumnKind.INTEGER: st.integers().map(str)
    | st.from_regex(r"\A[ +-]?(0x)?[0-9_]{0,17}[.]?0{0,2}\Z"),
    ColumnKind.BOOLEAN: st.sampled_from(
        ["true", "False", "1", "0", "yes", "Off", "t", "2", " true"]
    ),
    ColumnKind.DATE: st.dates().map(str)
    | st.from_regex(r"\A(20|00)[0-9]{2}-[0-3]?[0-9]-[0-3][0-9](T00:00(:00)?Z?)?\Z")
    | st.integers(-(10**11), 10**11).map(str),
    ColumnKind.DATETIME: st.datetimes(timezones=st.none() | st.timezones()).map(str)
    | st.from_regex(
        r"\A(20|00|99)[0-9]{2}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9](:[0-6][0-9]){1,2}([.][0-9]{1,9}0?)?"
        r"(Z|z|[+-][0-2][0-9]:?([0-6][0-9])?)?)?\Z"
    )
    | st.integers(-(10**11), 10**11).map(str),
    ColumnKind.CATEGORY: st.sampled_from(CATEGORIES)
    | st.text(max_size=6)
    | st.text(" \t\r\n\f\v\u00a0\u2003\x1cred", max_size=6),
    ColumnKind.VECTOR: st.lists(st.floats(-20, 20) | st.none() | st.booleans(), max_size=3).map(
        json.dumps
    )
    | st.lists(st.floats(-9, 9), min_size=2, max_size=2).map(json.dumps)
    | st.sampled_from(["[1, 2]", "[1,2", "[[1], 2]", "1;2", "[NaN, 1]", "[1e400, 1]", '["1", 2]']),
}
ANY_TEXT = st.text(max_size=12) | st.sampled_from(
    ["nan", "-inf", "Infinity", "None", "null", "1,5"]
)


@st.composite
def columns(draw: st.DrawFn, name: str) -> ColumnSchema:
    kind = draw(st.sampled_from(list(ColumnKind)))
    facts: dict[str, Any] = {"nullable": draw(st.booleans())}
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        limits = st.none() | st.integers(-9, 9) | st.just(2**60)
        facts |= {draw(st.sampled_from(["ge", "gt"])): draw(limits)}
        facts |= {draw(st.sampled_from(["le", "lt"])): draw(limits)}
        steps = [None, 0.1, 0.25, 3.0] if kind is ColumnKind.NUMBER else [None, 1, 3, 1000]
        facts["multiple_of"] = draw(st.sampled_from(steps))
    elif kind is ColumnKind.DATE:
        facts[draw(st.sampled_from(["ge", "gt"]))] = draw(st.none() | st.just(date(2020, 1, 1)))
        facts[draw(st.sampled_from(["le", "lt"]))] = draw(st.none() | st.just(date(2020, 2, 1)))
    elif kind is ColumnKind.VECTOR:
        facts["length"] = 2
        facts[draw(st.sampled_from(["ge", "gt"]))] = draw(st.none() | st.integers(-9, 9))
        facts["multiple_of"] = draw(st.sampled_from([None, 0.5]))
    elif kind is ColumnKind.DATETIME:
        facts["utc"] = draw(st.booleans())
        facts[draw(st.sampled_from(["ge", "gt"]))] = draw(st.none() | st.just(NOON))
        facts[draw(st.sampled_from(["le", "lt"]))] = draw(st.none() | st.just(NOON + timedelta(1)))
    elif kind is ColumnKind.CATEGORY:
        facts["strip"] = draw(st.booleans())
        facts["categories"] = draw(st.sampled_from([None, CATEGORIES, ("red",)]))
        facts["max_length"] = draw(st.sampled_from([None, 1, 4]))
    return ColumnSchema(name=name, kind=kind, **facts)


@st.composite
def typed_tables(draw: st.DrawFn) -> tuple[RowSchema, dict[str, list[Any]]]:
    chosen = [draw(columns(name)) for name in "abc"[: draw(st.integers(1, 3))]]
    n = draw(st.integers(0, 6))
    data = {
        column.name: draw(st.lists(st.none() | VALUES[column.kind], min_size=n, max_size=n))
        for column in chosen
    }
    return RowSchema.from_columns("Sample", *chosen), data


@st.composite
def text_columns(draw: st.DrawFn) -> tuple[RowSchema, list[str]]:
    column = draw(columns("a"))
    return RowSchema.from_columns("Sample", column), draw(
        st.lists(TEXTS[column.kind] | ANY_TEXT | st.just(""), max_size=6)
    )


def reasons_of(checked: ValidatedTable, row: int) -> dict[str, str]:
    """The reason by column of a row; for a null, pydantic has a type message and the table adds to it."""
    problems = [problem for problem in checked.problems if problem.row == row]
    assert len({problem.column for problem in problems}) == len(problems)
    return {problem.column: problem.reason.removesuffix(", not null") for problem in problems}


def parse(parser: Callable[[Any], Any], row: Any) -> tuple[Any, dict[str, list[str]]]:
    """The values of a row, or the reasons by column."""
    try:
        return parser(row), {}
    except RowsError as error:
        reasons: dict[str, list[str]] = {}
        for fault in error.faults:
            name, *items = map(str, fault["loc"])
            prefix = "".join(f"Item {item}: " for item in items)
            reasons.setdefault(name, []).append(prefix + fault["msg"])
        return None, reasons


def assert_reasons(checked: ValidatedTable, row: int, expected: dict[str, list[str]]) -> None:
    """A table has one reason for each cell: of a list, that of one of its numbers."""
    reasons = reasons_of(checked, row)
    assert reasons.keys() == expected.keys()
    assert all(reason in expected[name] for name, reason in reasons.items()), (reasons, expected)


def assert_row(checked: ValidatedTable, row: int, validator: RowValidator, values: Any) -> None:
    if values is None:
        assert checked.invalid[row]
        assert np.isnan(checked.batch.numeric[row]).all()
        assert set(checked.batch.text[row].tolist()) <= {""}
        return
    expected = validator.to_batch([values])
    assert not checked.invalid[row]
    np.testing.assert_array_equal(checked.batch.numeric[row], expected.numeric[0])
    assert checked.batch.text[row].tolist() == expected.text[0].tolist()


@examples(300)
@given(typed_tables())
def test_a_table_is_validated_as_its_rows_in_json(sample: tuple[RowSchema, dict[str, Any]]) -> None:
    schema, data = sample
    arrays = {name: pa.array(values, ARROW[schema[name].kind]) for name, values in data.items()}
    checked = validate_table(schema, pa.table(arrays))
    validator = RowValidator(schema)
    for row in range(len(checked.invalid)):
        body = json.dumps({name: values[row] for name, values in data.items()}, default=str)
        values, reasons = parse(validator.parse_row, body.encode())
        assert_row(checked, row, validator, values)
        assert_reasons(checked, row, reasons)


@examples(500)
@given(text_columns())
def test_a_column_of_csv_is_validated_as_its_texts(sample: tuple[RowSchema, list[str]]) -> None:
    schema, texts = sample
    checked = validate_table(schema, pa.table({"a": pa.array(texts, pa.string())}), strings=True)
    validator = RowValidator(schema)
    for row, text in enumerate(texts):
        if not text:
            assert checked.invalid[row] != schema["a"].nullable
            continue
        values, reasons = parse(validator.parse_text_row, {"a": text})
        assert_row(checked, row, validator, values)
        assert_reasons(checked, row, reasons)


@pytest.mark.parametrize(
    ("body", "column", "message"),
    [
        ('{"a": "1"}', "a", "Input should be a valid number"),
        ('{"a": true}', "a", "Input should be a valid number"),
        ('{"a": NaN}', "a", "Input should be a finite number"),
        ("{}", "a", "Field required"),
        ('{"a": 1, "z": 1}', "", "Extra inputs are not permitted"),
    ],
)
def test_a_row_is_refused_with_the_place_and_without_its_value(
    body: str, column: str, message: str
) -> None:
    validator = RowValidator(
        RowSchema.from_columns("Sample", ColumnSchema(name="a", kind=ColumnKind.NUMBER))
    )
    with pytest.raises(RowsError) as caught:
        validator.parse_row(body.encode())
    assert caught.value.faults == [{"loc": [column] if column else [], "msg": message}]
    assert not caught.value.malformed


def test_what_is_no_json_is_malformed() -> None:
    validator = RowValidator(
        RowSchema.from_columns("Sample", ColumnSchema(name="a", kind=ColumnKind.NUMBER))
    )
    with pytest.raises(RowsError) as caught:
        validator.parse_row(b"{")
    assert caught.value.malformed


def number(name: str = "a") -> RowValidator:
    return RowValidator(
        RowSchema.from_columns("Sample", ColumnSchema(name=name, kind=ColumnKind.NUMBER))
    )


def test_bad_rows_of_a_body_are_named_up_to_a_maximum() -> None:
    with pytest.raises(RowsError) as caught:
        number().parse_rows(b'[{"a": 1}, {"a": "x"}, {"a": 2, "b": 3}, {}]')
    assert caught.value.faults == [
        {"loc": [1, "a"], "msg": "Input should be a valid number"},
        {"loc": [2], "msg": "Extra inputs are not permitted"},
        {"loc": [3, "a"], "msg": "Field required"},
    ]
    with pytest.raises(RowsError) as caught:
        number().parse_rows(b"[" + b",".join([b"{}"] * 1000) + b"]")
    assert len(caught.value.faults) == MAX_FAULTS


@pytest.mark.parametrize("bad", [b"{}", b'{"a": 1, "b": 2}', b'{"a": "1"}'])
def test_of_a_large_body_the_first_bad_row_is_named(bad: bytes) -> None:
    body = b"[" + b'{"a": 1},' * (MAX_EXPLAINED_BYTES // 9) + bad + b"]"
    with pytest.raises(RowsError) as caught:
        number().parse_rows(body)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0]["loc"][0] == MAX_EXPLAINED_BYTES // 9


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 2_000_000 + b"{}]",
        b'[{"a": 1' + b"".join(b',"b%d": 1' % n for n in range(200_000)) + b"}]",
    ],
    ids=["rows", "fields"],
)
def test_reporting_errors_costs_no_more_than_the_body(body: bytes) -> None:
    validator = number()
    tracemalloc.start()
    try:
        with pytest.raises(RowsError) as caught:
            validator.parse_rows(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(caught.value.faults) <= MAX_FAULTS
    assert peak < 40 << 20


@pytest.mark.parametrize(
    "text",
    ["0", "86400", "-86400", "1735776000", "1735776000000", "1e5", "20250102", "2025-1-2", "2025-02-30",
     "+2025-01-02", "\uff12025-01-02", "2025-01-02\n", ""],
)  # fmt: skip
@pytest.mark.parametrize("nullable", [False, True])
def test_only_an_iso_date_is_a_date(text: str, nullable: bool) -> None:
    """Seconds since 1970 are no date, in JSON as little as in a cell of CSV."""
    column = ColumnSchema(name="day", kind=ColumnKind.DATE, nullable=nullable)
    validator = RowValidator(RowSchema.from_columns("dated", column))
    with pytest.raises(RowsError):
        validator.parse_rows(json.dumps([{"day": text}]).encode())
    with pytest.raises(RowsError):
        validator.parse_text_row({"day": text or "0"})
    assert validator.parse_text_row({"day": "2025-01-02"}) == {"day": date(2025, 1, 2)}
    assert len(validator.parse_rows(b'[{"day": "2025-01-02"}]')) == 1


@pytest.mark.parametrize(
    "text", ["2025-01-02T00:00:00", "2025-01-02 00:00:00", "2025-01-02 00:00:00.000000000"]
)
def test_midnight_is_a_date_in_csv_only(text: str) -> None:
    column = ColumnSchema(name="day", kind=ColumnKind.DATE)
    validator = RowValidator(RowSchema.from_columns("dated", column))
    assert validator.parse_text_row({"day": text}) == {"day": date(2025, 1, 2)}
    with pytest.raises(RowsError, match="YYYY-MM-DD"):
        validator.parse_rows(json.dumps([{"day": text}]).encode())


@pytest.mark.parametrize(
    ("body", "repeats"),
    [
        ('{"a": 1, "b": ":"}', False),
        ('{"a": 1, "b": "\\\\", "a": 1}', True),
        ('{"a": 1, "b": "x\\"a\\": 2", "\\u0061": 2}', True),
        ('{"a": 1, "b": "\\"a\\":"}', False),
        ('{"b": "z", "a": 1, "b": ":::"}', True),
    ],
)
def test_a_field_that_is_given_twice(body: str, repeats: bool) -> None:
    columns = (
        ColumnSchema(name="a", kind=ColumnKind.INTEGER),
        ColumnSchema(name="b", kind=ColumnKind.CATEGORY),
    )
    validator = RowValidator(RowSchema(title="R", columns=columns))
    good = '{"a": 2, "b": "y"}'
    for parse_body, text, row_loc in (
        (validator.parse_row, body, []),
        (validator.parse_rows, f"[{good}, {body}]", [1]),
        (validator.parse_batch, f"[{good}, {body}, {good}]", [1]),
    ):
        if not repeats:
            parse_body(text.encode())
            continue
        with pytest.raises(RowsError) as caught:
            parse_body(text.encode())
        (fault,) = caught.value.faults
        assert fault["loc"][:-1] == row_loc
        assert fault["msg"] == "Field given twice"


def test_a_default_does_not_hide_a_field_that_is_given_twice() -> None:
    columns = (
        ColumnSchema(name="a", kind=ColumnKind.INTEGER),
        ColumnSchema(name="b", kind=ColumnKind.INTEGER, required=False, default=7),
    )
    validator = RowValidator(RowSchema(title="R", columns=columns))
    assert validator.parse_row(b'{"a": 1}') == {"a": 1, "b": 7}
    assert validator.parse_rows(b'[{"a": 1}, {"a": 2, "b": 3}]')[0] == {"a": 1, "b": 7}
    for parse_body, text in (
        (validator.parse_row, b'{"a": 1, "a": 2}'),
        (validator.parse_rows, b'[{"b": 1, "a": 2}, {"a": 1, "a": 2}]'),
        (validator.parse_batch, b'[{"a": 1, "a": 2}]'),
    ):
        with pytest.raises(RowsError) as caught:
            parse_body(text)
        assert caught.value.faults[0]["msg"] == "Field given twice"
