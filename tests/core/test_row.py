from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model, field_validator, model_validator

from windlass.core.row import Row, column, read_row
from windlass.core.row_schema import ColumnKind, ColumnSchema
from windlass.errors import ProjectError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Row):
    """A row of every kind."""

    number: float = column("A number", unit="cm", ge=0, lt=10, example=1.5)
    integer: int | None = column("An integer", multiple_of=5)
    boolean: bool
    day: date = column("A day", gt=date(2000, 1, 1), example=date(2001, 1, 1))
    closed: Literal["a", "b"]
    listed: Colour = column("An enum", default=Colour.BLUE)
    open: str | None = column("A text", max_length=20, default=None)


def test_every_kind_is_read() -> None:
    schema = read_row(Everything)
    assert (schema.title, schema.description) == ("Everything", "A row of every kind.")
    assert [
        (item.name, item.kind.value, item.nullable, item.required) for item in schema.columns
    ] == [
        ("number", "number", False, True),
        ("integer", "integer", True, True),
        ("boolean", "boolean", False, True),
        ("day", "date", False, True),
        ("closed", "category", False, True),
        ("listed", "category", False, False),
        ("open", "category", True, False),
    ]
    assert schema["number"] == ColumnSchema(
        name="number",
        kind=ColumnKind.NUMBER,
        description="A number",
        unit="cm",
        example=1.5,
        ge=0,
        lt=10,
    )
    assert (schema["day"].gt, schema["day"].example) == (date(2000, 1, 1), "2001-01-01")
    assert schema["closed"].categories == ("a", "b")
    assert (schema["listed"].categories, schema["listed"].default) == (("red", "blue"), "blue")
    assert (schema["integer"].multiple_of, schema["open"].max_length) == (5, 20)


def test_an_alias_is_the_column_s_name() -> None:
    class Aliased(Row):
        total_charges: float = column("Bills", alias="Total Charges", example=1.0)
        same: float = column("The same name", alias="same")
        plain: float = Field(alias="a.b")

    columns = read_row(Aliased).columns
    assert [(item.name, item.field) for item in columns] == [
        ("Total Charges", "total_charges"),
        ("same", None),
        ("a.b", "plain"),
    ]


@pytest.mark.parametrize("alias", ["", "a\0b", "\ud800"])
def test_an_alias_that_cannot_name_a_column_is_refused(alias: str) -> None:
    with pytest.raises(ProjectError, match=r"column\('A number', …\) has the alias"):
        column("A number", alias=alias)


def test_an_empty_alias_of_pydantic_is_refused() -> None:
    row = create_model("Odd", __base__=Row, field=(float, Field(alias="")))
    with pytest.raises(ProjectError, match=r"Odd\.field has the alias"):
        read_row(row)


def test_a_column_has_one_name_and_one_field() -> None:
    twice = create_model(
        "Twice", __base__=Row, a=(float, ...), b=(float, column("The same", alias="a"))
    )
    with pytest.raises(ProjectError, match=r"2 fields of the column 'a': a, b"):
        read_row(twice)
    split = create_model("Split", __base__=Row, a=(float, Field(validation_alias="b")))
    with pytest.raises(ProjectError, match=r"Split\.a has another alias"):
        read_row(split)


def test_times_and_their_bounds_are_of_utc() -> None:
    berlin = timezone(timedelta(hours=1))

    class Timed(Row):
        zoned: datetime = column("An instant", ge=datetime(2020, 1, 1, 1, tzinfo=berlin))
        of_utc: datetime | None = column(
            "UTC",
            utc=True,
            lt=datetime(2030, 1, 1),  # noqa: DTZ001 - as a project may write it
            default=datetime(2020, 1, 1),  # noqa: DTZ001
        )

    zoned, of_utc = read_row(Timed).columns
    assert (zoned.kind, zoned.utc, zoned.ge) == (
        "datetime",
        False,
        datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert (of_utc.utc, of_utc.lt) == (True, datetime(2030, 1, 1, tzinfo=UTC))
    sealed = ColumnSchema.model_validate_json(of_utc.model_dump_json())
    assert dict(sealed.bounds()) == {"lt": datetime(2030, 1, 1, tzinfo=UTC)}
    assert ColumnSchema.model_validate(of_utc.model_dump(mode="json")).bounds()


@pytest.mark.parametrize(
    ("annotation", "arguments", "message"),
    [
        (datetime, {"ge": datetime(2020, 1, 1)}, "its ge, .* has no offset"),  # noqa: DTZ001
        (datetime, {"example": "2020-01-01T08:00:00"}, "its example, .* offset"),
        (date, {"utc": True}, "a date and has no utc"),
        (float, {"strip": True}, "a number and has no strip"),
        (Literal["a ", "b"], {"strip": True}, "the category 'a ' has spaces around it"),
    ],
)
def test_what_a_kind_does_not_have_is_refused(
    annotation: Any, arguments: dict[str, Any], message: str
) -> None:
    row = create_model("Odd", __base__=Row, field=(annotation, column("A field", **arguments)))
    with pytest.raises(ProjectError, match=message):
        read_row(row)


def test_a_default_is_stripped_as_its_values_are() -> None:
    row = create_model(
        "Stripped", __base__=Row, field=(str, column("Text", strip=True, default=" a "))
    )
    assert read_row(row).columns[0].default == "a"


class Nested(BaseModel):
    x: float


@pytest.mark.parametrize(
    "annotation",
    [
        time,
        list[float],
        dict[str, float],
        Nested,
        bytes,
        Any,
        float | int,
        Literal[1, 2],
        Literal[""],
    ],
)
def test_what_cannot_be_sealed_is_refused_by_name(annotation: Any) -> None:
    row = create_model("Odd", __base__=Row, field=(annotation, ...))
    with pytest.raises(ProjectError, match=r"Odd\.field"):
        read_row(row)


def test_a_pattern_is_refused() -> None:
    row = create_model("Odd", __base__=Row, field=(str, Field(pattern="a+")))
    with pytest.raises(ProjectError, match=r"Odd\.field has the constraint"):
        read_row(row)


def test_python_validators_are_refused() -> None:
    class Fielded(Row):
        x: float

        @field_validator("x")
        @classmethod
        def positive(cls, value: float) -> float:
            return value

    class Modelled(Row):
        x: float

        @model_validator(mode="after")
        def whole(self) -> "Modelled":
            return self

    for row, name in ((Fielded, "positive"), (Modelled, "whole")):
        with pytest.raises(ProjectError, match=f"validator '{name}'"):
            read_row(row)


def test_a_row_has_fields() -> None:
    with pytest.raises(ProjectError, match="has no fields"):
        read_row(create_model("Empty", __base__=Row))


def test_an_argument_that_column_does_not_have_is_refused() -> None:
    with pytest.raises(ProjectError, match="no argument 'minimum'"):
        column("Monthly fee", minimum=0)


@pytest.mark.parametrize(
    ("annotation", "field", "message"),
    [
        (str, column("A text", ge=3), "is a category and has no ge"),
        (bool, column("A switch", multiple_of=2), "is a boolean and has no multiple_of"),
        (float, column("A number", max_length=2), "is a number and has no max_length"),
        (float, column("A number", le=500, example=900), "its example, 900, does not fit it"),
        (int, column("A count", ge=1, default=0), "its default, 0, does not fit it"),
        (Literal["a"], column("One letter", example="b"), "its example, 'b', does not fit it"),
    ],
)
def test_a_contradiction_is_refused(annotation: Any, field: Any, message: str) -> None:
    row = create_model("Odd", __base__=Row, field=(annotation, field))
    with pytest.raises(ProjectError, match=message):
        read_row(row)
