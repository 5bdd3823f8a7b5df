from datetime import date

import pytest
from pydantic import ValidationError

from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema


def _column(kind: ColumnKind) -> ColumnSchema:
    return ColumnSchema(name="x", kind=kind, nullable=True)


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        (ColumnKind.NUMBER, 1.5, 1.5),
        (ColumnKind.INTEGER, 2**53, float(2**53)),
        (ColumnKind.BOOLEAN, True, 1.0),
        (ColumnKind.DATE, date(1970, 1, 2), 1.0),
        (ColumnKind.DATE, date(1969, 12, 31), -1.0),
    ],
)
def test_numbers_come_back_as_they_were_sent(
    kind: ColumnKind, value: object, number: float
) -> None:
    column = _column(kind)
    assert column.to_float(value) == number
    back = column.to_json(number)
    assert back == (value.isoformat() if isinstance(value, date) else value)
    assert isinstance(back, str if kind is ColumnKind.DATE else type(value))


@pytest.mark.parametrize(
    "kind", [ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN, ColumnKind.DATE]
)
def test_missing_is_nan_and_null(kind: ColumnKind) -> None:
    column = _column(kind)
    missing = column.to_float(None)
    assert missing != missing  # noqa: PLR0124 - NaN
    assert column.to_json(missing) is None


def test_missing_text_is_null() -> None:
    column = _column(ColumnKind.CATEGORY)
    assert column.to_json("") is None
    assert column.to_json("red") == "red"


def test_columns_keep_their_declared_order() -> None:
    schema = RowSchema.from_columns(
        "R",
        ColumnSchema(name="b", kind=ColumnKind.CATEGORY),
        ColumnSchema(name="a", kind=ColumnKind.NUMBER),
        ColumnSchema(name="c", kind=ColumnKind.DATE, ge=date(2000, 1, 1), lt=date(2030, 1, 1)),
    )
    assert schema.names == ("b", "a", "c")
    assert [column.name for column in schema.numeric] == ["a", "c"]
    assert [column.name for column in schema.text] == ["b"]
    assert list(schema["c"].bounds()) == [("ge", date(2000, 1, 1)), ("lt", date(2030, 1, 1))]
    assert RowSchema.model_validate_json(schema.model_dump_json()) == schema
    with pytest.raises(KeyError):
        schema["d"]


def test_a_schema_has_columns() -> None:
    with pytest.raises(ValidationError):
        RowSchema.from_columns("R")
