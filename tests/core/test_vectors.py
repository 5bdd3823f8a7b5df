"""Vectors, lists of a fixed length: the same for every reader, one number for each column of the model."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import create_model

from windlass.core.json_schema import json_schema
from windlass.core.row import Row, column, read_row
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator
from windlass.engines.native import to_frame
from windlass.errors import ProjectError, RowsError
from windlass.tables.validate import validate_table
from windlass.tables.writer import row_table

SCHEMA = RowSchema.from_columns(
    "Vectors",
    ColumnSchema(name="a", kind=ColumnKind.NUMBER),
    ColumnSchema(name="v", kind=ColumnKind.VECTOR, length=3, ge=-5, nullable=True),
    ColumnSchema(name="b", kind=ColumnKind.INTEGER),
)
VALIDATOR = RowValidator(SCHEMA)
GOOD = [1, -0.0, 2.5]


def reason_in_json(vector: Any) -> str:
    return reason(lambda: VALIDATOR.parse_row(json.dumps({"a": 1, "v": vector, "b": 2}).encode()))


def reason_in_csv(vector: Any) -> str:
    text = json.dumps(vector)
    return reason(lambda: VALIDATOR.parse_text_row({"a": "1", "v": text, "b": "2"}))


def reason(parse: Any) -> str:
    with pytest.raises(RowsError) as raised:
        parse()
    name, *items = raised.value.faults[0]["loc"]
    assert name == "v"
    message: str = raised.value.faults[0]["msg"]
    return "".join(f"Item {item}: " for item in items) + message


def reason_in_table(vectors: Any, *, strings: bool = False) -> str:
    values: list[Any] = ["1", vectors, "2"] if strings else [[1.0], vectors, [2]]
    arrays = [pa.array([value]) if strings else value for value in values]
    checked = validate_table(
        SCHEMA, pa.table(dict(zip("avb", arrays, strict=True))), strings=strings
    )
    return checked.problems[0].reason if checked.invalid[0] else ""


BAD = [
    ([1, 2], "Input should be a list of 3 numbers"),
    ([1, 2, 3, 4], "Input should be a list of 3 numbers"),
    ([], "Input should be a list of 3 numbers"),
    ([1, None, 3], "Item 1: Input should be a valid number"),
    ([1, 2, float("nan")], "Item 2: Input should be a finite number"),
    ([float("inf"), 2, 3], "Item 0: Input should be a finite number"),
    ([1, -6, 3], "Item 1: Input should be greater than or equal to -5"),
]


@pytest.mark.parametrize(("vector", "message"), BAD)
def test_every_reader_refuses_a_vector_by_position(vector: list[Any], message: str) -> None:
    readings = [reason_in_json(vector), reason_in_csv(vector)]
    readings.append(reason_in_table(json.dumps(vector), strings=True))
    kinds = [pa.list_(pa.float64()), pa.large_list(pa.float32())]
    kinds += [pa.list_(pa.float64(), 3)] if len(vector) == 3 else []
    readings += [reason_in_table(pa.array([vector], kind)) for kind in kinds]
    assert {reading.removesuffix(", not null") for reading in readings} == {message}


@pytest.mark.parametrize("vector", [[[1], 2, 3], ["1", 2, 3], [True, 2, 3], {"0": 1}, "1,2,3", 5])
def test_what_is_not_a_list_of_numbers_is_refused(vector: Any) -> None:
    assert reason_in_json(vector)
    assert reason_in_csv(vector)
    assert reason_in_table(json.dumps(vector), strings=True)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[[1.0], [2.0], [3.0]]]), pa.array([["1", "2", "3"]]), pa.array([[True, True, True]]),
        pa.array(["[1, 2, 3]"]), pa.array([5.0]),
    ],
)  # fmt: skip
def test_another_type_of_arrow_is_refused(array: Any) -> None:
    assert reason_in_table(array) == "Input should be a list of 3 numbers"


def test_every_reader_gives_the_model_the_same_numbers() -> None:
    rows: list[dict[str, Any]] = [
        {"a": 1, "v": GOOD, "b": 2},
        {"a": 3, "v": None, "b": 4},
        {"a": 5, "v": [4, 5, 6], "b": 6},
    ]
    expected = np.array([[1, 0, 2.5, 3, 2], [3, *[np.nan] * 3, 4], [5, 4, 5, 6, 6]], float)
    expected[0, 1:4] = [1, 0, 2.5]
    columns = {name: [row[name] for row in rows] for name in "avb"}
    kinds = [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 3)]
    batches = [
        VALIDATOR.to_batch(VALIDATOR.parse_rows(json.dumps(rows).encode())),
        VALIDATOR.parse_values(rows)[1],
        VALIDATOR.to_batch(
            [
                VALIDATOR.parse_text_row(
                    {
                        name: "" if value is None else json.dumps(value)
                        for name, value in row.items()
                    }
                )
                for row in rows
            ]
        ),
    ]
    texts = {
        name: ["" if value is None else json.dumps(value) for value in values]
        for name, values in columns.items()
    }
    batches.append(validate_table(SCHEMA, pa.table(texts), strings=True).batch)
    for kind in kinds:
        table = pa.table({**columns, "v": pa.array(columns["v"], kind)})
        batches.append(validate_table(SCHEMA, table).batch)
        padded = pa.concat_tables([table, table]).combine_chunks().slice(3)  # an offset
        batches.append(validate_table(SCHEMA, padded).batch)
    for batch in batches:
        np.testing.assert_array_equal(batch.numeric, expected)
        assert not np.signbit(batch.numeric[:, 1:4][np.isfinite(batch.numeric[:, 1:4])]).any()
    assert list(to_frame(SCHEMA, batches[0]).columns) == ["a", "v_0", "v_1", "v_2", "b"]
    assert row_table(SCHEMA, batches[0]).column("v").to_pylist() == [
        [1.0, 0.0, 2.5],
        None,
        [4, 5, 6],
    ]


def test_a_vector_is_declared_with_its_length() -> None:
    row = create_model(
        "Embedded",
        __base__=Row,
        v=(
            list[float],
            column("Embedding", length=2, ge=0, le=1, example=[0.5, 1], default=[0, 0]),
        ),
    )
    (vector,) = read_row(row).columns
    assert (vector.kind, vector.length, vector.ge, vector.le) == ("vector", 2, 0, 1)
    assert RowSchema.model_validate_json(read_row(row).model_dump_json()).columns == (vector,)
    assert RowValidator(read_row(row)).parse_row(b"{}") == {"v": [0, 0]}
    described = json_schema(read_row(row))["properties"]["v"]
    assert described["items"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert (described["minItems"], described["maxItems"]) == (2, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"v": (list[float], ...)}, "a list without a length"),
        ({"v": (list[int], column("Counts", length=2))}, "cannot hold"),
        ({"v": (float, column("A number", length=2))}, "has no length"),
        ({"v": (list[float], column("Pair", length=2, example=[1]))}, "example"),
        ({"v": (list[float], column("Pair", length=2)), "v_1": (float, ...)}, "see 'v_1' twice"),
    ],
)
def test_a_vector_that_cannot_be_read_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        read_row(create_model("Odd", __base__=Row, **fields))
