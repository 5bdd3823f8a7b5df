"""JSON Schemas of the OpenAPI document, generated from pydantic models.

Imported only when the document is made.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

Json = dict[str, Any]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(description="Seconds since 1970.")]


class ApiModel(BaseModel):
    """Base class of request and response models: its name is the component's, its docstring the description.

    A field with a default may be left out of a message; the default itself is not described.
    """


class Fault(ApiModel):
    """What is wrong with one value."""

    loc: list[str | int]
    msg: str


class Problem(ApiModel):
    """RFC 9457 problem details.

    They never echo what was sent.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault] = Field(default_factory=list)


class _Generator(GenerateJsonSchema):
    """Schemas without titles and defaults; a nullable value is one of two types where its schema has one type."""

    def field_title_should_be_set(self, _: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described.pop("title", None)
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if not isinstance(inner.get("type"), str):
            return super().nullable_schema(schema)
        if "enum" in inner:
            inner["enum"] = [*inner["enum"], None]
        return {**inner, "type": [inner["type"], "null"]}


def component_schemas(models: Sequence[type[BaseModel]]) -> Json:
    """Returns the schemas of these models, and of the models in their fields, by name."""
    _, described = models_json_schema(
        [(model, "serialization") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Generator,
    )
    schemas: Json = described["$defs"]
    return schemas
