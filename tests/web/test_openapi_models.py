"""Component schemas of response models: what is required, nullable and named."""

from datetime import date
from enum import Enum
from typing import Any, Literal

from pydantic import Field

from windlass.web.openapi_models import ApiModel, Problem, component_schemas


class Colour(Enum):
    RED = "red"


class Part(ApiModel):
    """A part."""

    size: int


class Whole(ApiModel):
    name: str | None
    day: date | None
    kind: Literal["a", "b"] | None
    colour: Colour
    part: Part | None
    parts: list[Part] = Field(default_factory=list)
    note: str = Field("", description="May be left out.")


def described(model: type[ApiModel]) -> Any:
    return component_schemas([model])


def test_a_model_is_a_component_by_its_name() -> None:
    schemas = described(Whole)
    assert schemas.keys() == {"Whole", "Part", "Colour"}
    assert schemas["Part"] == {
        "type": "object",
        "description": "A part.",
        "properties": {"size": {"type": "integer"}},
        "required": ["size"],
    }


def test_a_field_with_a_default_may_be_left_out() -> None:
    whole = described(Whole)["Whole"]
    assert whole["required"] == ["name", "day", "kind", "colour", "part"]
    assert whole["properties"]["note"] == {"type": "string", "description": "May be left out."}
    part = {"$ref": "#/components/schemas/Part"}
    assert whole["properties"]["parts"] == {"type": "array", "items": part}


def test_null_is_a_second_type() -> None:
    properties = described(Whole)["Whole"]["properties"]
    assert properties["name"] == {"type": ["string", "null"]}
    assert properties["day"] == {"type": ["string", "null"], "format": "date"}
    assert properties["kind"] == {"type": ["string", "null"], "enum": ["a", "b", None]}
    part = {"$ref": "#/components/schemas/Part"}
    assert properties["part"] == {"anyOf": [part, {"type": "null"}]}


def test_problems_need_no_errors() -> None:
    assert "errors" not in described(Problem)["Problem"]["required"]
