"""NumericRowReader: whatever it accepts, RowValidator accepts too, with the same numbers."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget import examples

from windlass.core.numeric_row_reader import NumericRowReader
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator
from windlass.errors import RowsError

SCHEMA = RowSchema.from_columns(
    "Point",
    ColumnSchema(name="x", kind=ColumnKind.NUMBER, ge=-10, lt=10),
    ColumnSchema(name="n", kind=ColumnKind.INTEGER, gt=-5),
    ColumnSchema(name="b", kind=ColumnKind.BOOLEAN),
)
NUMBERS: st.SearchStrategy[Any] = (
    st.integers(-12, 12) | st.floats(-11, 11) | st.floats() | st.integers(-(2**70), 2**70)
)
VALUES = NUMBERS | st.booleans() | st.none() | st.text(max_size=3) | st.lists(st.integers())
GOOD = st.fixed_dictionaries(
    {"x": st.floats(-10, 9), "n": st.integers(-4, 2**53), "b": st.booleans()}
)
ODD = st.dictionaries(st.sampled_from(["x", "n", "b", "more"]), VALUES, max_size=4)


@examples(500)
@given(st.lists(GOOD, max_size=3), st.lists(GOOD | ODD | VALUES, max_size=2))
def test_what_it_takes_the_validator_takes_as_well(good: list[Any], odd: list[Any]) -> None:
    assert_same_as_the_validator(json.dumps(good + odd).encode())


@examples(300)
@given(st.binary(max_size=20) | VALUES.map(lambda value: json.dumps(value).encode()) | ODD.map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_nothing_but_rows_is_taken(body: bytes) -> None:
    assert_same_as_the_validator(body)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def assert_same_as_the_validator(body: bytes) -> None:
    reader = NumericRowReader.from_schema(SCHEMA)
    assert reader is not None
    result = reader.read(_parsed(body))
    validator = RowValidator(SCHEMA)
    try:
        rows = validator.parse_rows(body)
    except RowsError:
        assert result is None
        return
    if result is None:  # left to the validator: none at all, or numbers that are equal in float64
        assert not rows or any(abs(row["n"]) >= 2**53 for row in rows)
        return
    assert result[0] == rows
    expected = validator.to_batch(rows)
    np.testing.assert_array_equal(result[1].numeric, expected.numeric)
    assert result[1].text.shape == expected.text.shape


@pytest.mark.parametrize(
    "bad",
    [
        {"x": 10.0, "n": 1, "b": True},
        {"x": 1.0, "n": 1.5, "b": True},
        {"x": True, "n": 1, "b": True},
        {"x": 1.0, "n": 1, "b": 1},
        {"x": 1.0, "n": 2**53 + 1, "b": True},
        {"x": 1.0, "n": 1},
        {"x": 1.0, "n": 1, "b": True, "more": 0},
        {"x": "1", "n": 1, "b": True},
        {"x": None, "n": 1, "b": True},
        {"x": float("nan"), "n": 1, "b": True},
    ],
)
def test_one_bad_row_among_good_ones_is_refused(bad: dict[str, Any]) -> None:
    good = {"b": False, "n": 3, "x": 2}  # in an order of its own
    validator = RowValidator(SCHEMA)
    rows, batch = validator.parse_batch(json.dumps([good] * 3).encode())
    assert rows == [good] * 3
    assert batch.numeric.tolist() == [[2.0, 3.0, 0.0]] * 3
    with pytest.raises(RowsError) as message:
        validator.parse_batch(json.dumps([good, bad, good]).encode())
    assert message.value.malformed or message.value.faults[0]["loc"][0] == 1


def test_an_integer_may_be_written_as_a_float_without_a_fraction() -> None:
    validator = RowValidator(SCHEMA)
    body = b'[{"x": 1, "n": 30.0, "b": true}, {"x": 1, "n": 3e1, "b": true}]'
    rows, batch = validator.parse_batch(body)
    assert [(row["n"], type(row["n"])) for row in rows] == [(30, int), (30, int)]
    assert batch.numeric[:, 1].tolist() == [30.0, 30.0]
    assert rows == validator.parse_rows(body)


def test_columns_that_are_not_plain_are_left_to_the_validator() -> None:
    for column in (
        ColumnSchema(name="x", kind=ColumnKind.NUMBER, nullable=True),
        ColumnSchema(name="x", kind=ColumnKind.NUMBER, multiple_of=0.5),
        ColumnSchema(name="x", kind=ColumnKind.NUMBER, required=False, default=1.0),
        ColumnSchema(name="x", kind=ColumnKind.DATE),
        ColumnSchema(name="x", kind=ColumnKind.CATEGORY),
    ):
        assert (
            NumericRowReader.from_schema(
                RowSchema.from_columns("Point", *SCHEMA.columns[1:], column)
            )
            is None
        )
