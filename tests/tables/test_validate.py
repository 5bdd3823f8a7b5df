from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.child_process import run_python

from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.errors import InputError
from windlass.tables.validate import RowProblem, validate_table

NUMBER = ColumnSchema(name="x", kind=ColumnKind.NUMBER)
INTEGER = ColumnSchema(name="x", kind=ColumnKind.INTEGER)
BOOLEAN = ColumnSchema(name="x", kind=ColumnKind.BOOLEAN)
DATE = ColumnSchema(name="x", kind=ColumnKind.DATE)
CLOSED = ColumnSchema(name="x", kind=ColumnKind.CATEGORY, categories=("a", "b"))
OPEN = ColumnSchema(name="x", kind=ColumnKind.CATEGORY, max_length=3)
NOON = datetime(2020, 1, 1, 12)  # noqa: DTZ001 - Arrow's timestamps without a zone are the case tested
NIGHT = datetime(2020, 1, 1)  # noqa: DTZ001 - as above


def nullable(column: ColumnSchema) -> ColumnSchema:
    return column.model_copy(update={"nullable": True})


def validated(
    column: ColumnSchema, array: Any, **options: Any
) -> tuple[list[Any], list[str | None]]:
    """The values of one column as the model sees them (None where missing), and each cell's refusal."""
    checked = validate_table(
        RowSchema.from_columns("Sample", column), pa.table({"x": array}), **options
    )
    reasons: list[str | None] = [None] * len(checked.invalid)
    for problem in checked.problems:
        reasons[problem.row] = problem.reason
    assert checked.invalid.tolist() == [reason is not None for reason in reasons]
    if column.is_text:
        return [value or None for value in checked.batch.text[:, 0].tolist()], reasons
    numbers = checked.batch.numeric[:, 0].tolist()
    return [None if value != value else value for value in numbers], reasons  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    ("column", "array", "values"),
    [
        (NUMBER, pa.array([1, 2], pa.int8()), [1.0, 2.0]),
        (NUMBER, pa.array([0.5, -2], pa.float32()), [0.5, -2.0]),
        (NUMBER, pa.array([Decimal("0.1")]), [0.1]),
        (NUMBER, pa.chunked_array([[1.0], [2.0, 3.0]]), [1.0, 2.0, 3.0]),
        (NUMBER, pa.array([1.5, 2.5, 1.5]).dictionary_encode(), [1.5, 2.5, 1.5]),
        (nullable(NUMBER), pa.array([None, None]), [None, None]),
        (nullable(NUMBER), pa.array([1.0, float("nan"), None]), [1.0, None, None]),
        (nullable(INTEGER), pa.array([1, None], pa.int64()), [1.0, None]),
        (nullable(INTEGER), pa.array([1.0, float("nan")]), [1.0, None]),
        (INTEGER, pa.array([3], pa.uint64()), [3.0]),
        (nullable(BOOLEAN), pa.array([True, False, None]), [1.0, 0.0, None]),
        (DATE, pa.array([date(1970, 1, 2)]), [1.0]),
        (DATE, pa.array([date(1969, 12, 31)], pa.date64()), [-1.0]),
        (DATE, pa.array([NIGHT], pa.timestamp("ns")), [18262.0]),
        (DATE, pa.array([NIGHT], pa.timestamp("s", "UTC")), [18262.0]),
        (DATE, pa.array(["1970-01-01", "2020-02-29"]), [0.0, 18321.0]),
        (CLOSED, pa.array(["b", "a"], pa.large_string()), ["b", "a"]),
        (CLOSED, pa.array(["b", "a"], pa.string_view()), ["b", "a"]),
        (nullable(CLOSED), pa.array(["b", None, "b"]).dictionary_encode(), ["b", None, "b"]),
        (
            nullable(CLOSED),
            pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None])),
            ["a", None, "a"],
        ),
        (OPEN, pa.array(["äöü", "z"]), ["äöü", "z"]),
    ],
)
def test_valid_values_are_accepted_in_any_arrow_layout(
    column: ColumnSchema, array: Any, values: list[Any]
) -> None:
    assert validated(column, array) == (values, [None] * len(values))


@pytest.mark.parametrize(
    ("column", "array", "reason"),
    [
        (NUMBER, pa.array([None], pa.float64()), "Input should be a valid number, not null"),
        (NUMBER, pa.array([float("nan")]), "Input should be a finite number"),
        (nullable(NUMBER), pa.array([float("inf")]), "Input should be a finite number"),
        (NUMBER, pa.array(["1"]), "Input should be a valid number"),
        (NUMBER, pa.array([True]), "Input should be a valid number"),
        (NUMBER, pa.array([[1.0]]), "Input should be a valid number"),
        (
            INTEGER,
            pa.array([1.5]),
            "Input should be a valid integer, got a number with a fractional part",
        ),
        (
            INTEGER,
            pa.array([2**53 + 1]),
            "Input should be less than or equal to 9007199254740992",
        ),
        (BOOLEAN, pa.array([1]), "Input should be a valid boolean"),
        (DATE, pa.array([1]), "Input should be a valid date"),
        (
            DATE,
            pa.array([NOON]),
            "Datetimes provided to dates should have zero time - e.g. be exact dates",
        ),
        (
            DATE,
            pa.array(["01.02.2020"]),
            "Input should be a valid date in the format YYYY-MM-DD",
        ),
        (
            DATE,
            pa.array([10**7], pa.int32()).cast(pa.date32()),
            "Input should be a valid date, of the years 1 to 9999",
        ),
        (CLOSED, pa.array(["c"]), "Input should be 'a' or 'b'"),
        (CLOSED, pa.array([b"a"]), "Input should be 'a' or 'b'"),
        (CLOSED, pa.array([None], pa.string()), "Input should be 'a' or 'b', not null"),
        (OPEN, pa.array([""]), "String should have at least 1 character"),
        (OPEN, pa.array(["äöüß"]), "String should have at most 3 characters"),
        (OPEN, pa.array([1]), "Input should be a valid string"),
    ],
)
def test_invalid_values_are_refused_with_the_reason(
    column: ColumnSchema, array: Any, reason: str
) -> None:
    assert validated(column, array) == ([None], [reason])


def test_a_moment_in_another_zone_is_no_date() -> None:
    zone = timezone(timedelta(hours=2))
    array = pa.array([datetime(2020, 1, 1, tzinfo=zone)], pa.timestamp("us", "Europe/Prague"))
    assert validated(DATE, array)[1] == [
        "Input should be a valid date, not a moment in a zone other than UTC"
    ]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_bounds_of_integers_are_not_rounded_to_the_precision_of_a_column(kind: Any) -> None:
    near = ColumnSchema(
        name="a", kind=ColumnKind.INTEGER, lt=2049 if kind == pa.float16() else 16_777_217
    )
    largest = np.float16(2048) if kind == pa.float16() else np.float32(16_777_216)
    table = pa.table({"a": pa.array([largest]).cast(kind)})
    assert not validate_table(RowSchema.from_columns("Cell", near), table).invalid.any()


def test_bounds_and_steps_are_checked() -> None:
    column = ColumnSchema(name="x", kind=ColumnKind.NUMBER, ge=0, lt=1, multiple_of=0.1)
    values, reasons = validated(column, pa.array([0.3, -0.1, 1.0, 0.25]))
    assert values == [0.3, None, None, None]
    assert reasons == [
        None,
        "Input should be greater than or equal to 0",
        "Input should be less than 1",
        "Input should be a multiple of 0.1",
    ]


def test_an_empty_cell_of_csv_is_missing() -> None:
    assert validated(nullable(NUMBER), pa.array(["1", ""]), strings=True) == (
        [1, None],
        [None, None],
    )
    assert validated(nullable(OPEN), pa.array(["a", ""]), strings=True) == (
        ["a", None],
        [None, None],
    )
    assert validated(OPEN, pa.array([""]), strings=True)[1] == [
        "Input should be a valid string, not null"
    ]


def test_many_texts_of_other_forms_are_read_as_pydantic_does() -> None:
    array = pa.array([" 1", " 10", "x", "1e400"] * 500)
    values, reasons = validated(NUMBER, array, strings=True, limit=2000)
    assert values == [1, 10, None, None] * 500
    assert (
        reasons[2::4]
        == ["Input should be a valid number, unable to parse string as a number"] * 500
    )


def test_columns_come_in_declared_order_and_defaults_fill_absent_ones() -> None:
    schema = RowSchema.from_columns(
        "Sample",
        ColumnSchema(name="a", kind=ColumnKind.NUMBER),
        ColumnSchema(name="t", kind=ColumnKind.CATEGORY, required=False, default="z"),
        ColumnSchema(name="b", kind=ColumnKind.DATE, required=False, default="1970-01-03"),
        ColumnSchema(name="c", kind=ColumnKind.NUMBER, required=False, nullable=True),
        ColumnSchema(name="d", kind=ColumnKind.NUMBER),
    )
    batch = validate_table(schema, pa.table({"d": [4.0], "a": [1.0]})).batch
    np.testing.assert_array_equal(batch.numeric, [[1.0, 2.0, np.nan, 4.0]])
    assert batch.text.tolist() == [["z"]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x", "x"], "The table has the column 'x' more than once. Name each column once."),
        (["x"], "lacks the column 'y'"),
        (["x", "y", "z"], "has the column 'z'; the columns of Sample are x, y."),
        (["y", *"abcdefg"], "'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
)
def test_a_table_of_other_columns_is_refused_as_a_whole(names: list[str], message: str) -> None:
    schema = RowSchema.from_columns(
        "Sample", NUMBER, ColumnSchema(name="y", kind=ColumnKind.NUMBER)
    )
    table = pa.Table.from_arrays([pa.array([1.0])] * len(names), names)
    with pytest.raises(InputError) as caught:
        validate_table(schema, table)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_row_is_blank_in_the_batch_and_its_neighbours_are_whole() -> None:
    schema = RowSchema.from_columns(
        "Sample", NUMBER, ColumnSchema(name="t", kind=ColumnKind.CATEGORY)
    )
    checked = validate_table(schema, pa.table({"x": [1.0, 2.0, None], "t": ["a", "", "c"]}))
    assert checked.invalid.tolist() == [False, True, True]
    np.testing.assert_array_equal(checked.batch.numeric[:, 0], [1.0, np.nan, np.nan])
    assert checked.batch.text[:, 0].tolist() == ["a", "", ""]


def test_problems_are_in_order_and_the_limit_keeps_the_first_of_each_kind() -> None:
    schema = RowSchema.from_columns(
        "Sample",
        ColumnSchema(name="x", kind=ColumnKind.NUMBER, ge=0, le=9),
        ColumnSchema(name="y", kind=ColumnKind.NUMBER),
    )
    table = pa.table({"x": [-1.0] * 50 + [10.0], "y": [float("nan")] + [0.0] * 50})
    problems = validate_table(schema, table, limit=4).problems
    low = "Input should be greater than or equal to 0"
    assert problems[:2] == [
        RowProblem(0, "x", low),
        RowProblem(0, "y", "Input should be a finite number"),
    ]
    assert problems[-1] == RowProblem(50, "x", "Input should be less than or equal to 9")
    assert len(problems) <= 4
    assert len(validate_table(schema, table, limit=100).problems) == 52
    assert len(validate_table(schema, table, limit=1).problems) == 1


@pytest.mark.parametrize("strings", [False, True])
def test_a_slice_is_validated_as_its_own_rows(strings: bool) -> None:
    """A slice shares its parent's buffers, from an offset on."""
    kinds = {
        "n": (ColumnKind.NUMBER, [1.5, None, 2.5, -1.0, 3.5]),
        "i": (ColumnKind.INTEGER, [1, 2, None, 4, 5]),
        "b": (ColumnKind.BOOLEAN, [True, False, None, True, False]),
        "d": (ColumnKind.DATE, [date(2020, 1, day) for day in range(1, 6)]),
        "t": (ColumnKind.CATEGORY, ["p", "q", None, "q", "r"]),
    }
    columns = [
        ColumnSchema(name=name, kind=kind, nullable=True) for name, (kind, _) in kinds.items()
    ]
    schema = RowSchema.from_columns("Sample", *columns)
    table = pa.table({name: values for name, (_, values) in kinds.items()})
    if strings:
        table = pa.table([column.cast(pa.string()) for column in table.columns], table.column_names)
    whole = validate_table(schema, table, strings=strings).batch
    part = validate_table(schema, table.slice(2, 3), strings=strings).batch
    np.testing.assert_array_equal(part.numeric, whole.numeric[2:])
    assert part.text.tolist() == whole.text[2:].tolist()
    assert part.numeric[1].tolist() == [-1.0, 4.0, 1.0, 18265.0]


def test_an_empty_table_is_an_empty_batch() -> None:
    checked = validate_table(
        RowSchema.from_columns("Sample", NUMBER), pa.table({"x": pa.array([], pa.float64())})
    )
    assert len(checked.batch) == 0
    assert checked.problems == []


def test_neither_pandas_nor_scikit_learn_is_imported() -> None:
    code = """
import sys
from pyarrow import csv, py_buffer
from windlass.tables.validate import validate_table
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
kinds = dict(zip("abcde", [ColumnKind(kind) for kind in ("category", "date", "number", "integer", "boolean")]))
schema = RowSchema.from_columns("Sample", *[ColumnSchema(name=name, kind=kind) for name, kind in kinds.items()])
body = py_buffer(b"a,b,c,d,e\\nx,2020-01-01, 5,1,true\\n,2020-02-30,3,2,false\\n")
texts = csv.ConvertOptions(column_types=dict.fromkeys(kinds, "string"))
assert not validate_table(schema, csv.read_csv(body)).invalid[0]
assert validate_table(schema, csv.read_csv(body, convert_options=texts), strings=True).invalid[1]
print(sorted({"pandas", "sklearn", "scipy"} & sys.modules.keys()))
"""
    assert run_python(code) == "[]\n"
