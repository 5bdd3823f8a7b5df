"""Translates a row's schema to JSON Schema, as OpenAPI 3.1 uses it."""

from datetime import datetime
from typing import Any

from windlass.core.row_schema import MAX_CATEGORY_LENGTH, ColumnKind, ColumnSchema, RowSchema
from windlass.core.timestamps import format_time

_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_TYPES: dict[ColumnKind, dict[str, Any]] = {
    ColumnKind.NUMBER: {"type": "number"},
    ColumnKind.INTEGER: {"type": "integer"},
    ColumnKind.BOOLEAN: {"type": "boolean"},
    ColumnKind.DATE: {"type": "string", "format": "date"},
    ColumnKind.DATETIME: {"type": "string", "format": "date-time"},
    ColumnKind.CATEGORY: {"type": "string"},
    ColumnKind.VECTOR: {"type": "array"},
}


def json_schema(schema: RowSchema) -> dict[str, Any]:
    """Returns the JSON Schema of one row; it allows no other fields than the row's columns."""
    described: dict[str, Any] = {
        "type": "object",
        "title": schema.title,
        "additionalProperties": False,
        "properties": {column.name: _property(column) for column in schema.columns},
        "required": [column.name for column in schema.columns if column.required],
    }
    if schema.description:
        described["description"] = schema.description
    if all(column.example is not None or column.nullable for column in schema.columns):
        described["examples"] = [{column.name: column.example for column in schema.columns}]
    return described


def _property(column: ColumnSchema) -> dict[str, Any]:
    kind = _constrained(column)
    described: dict[str, Any] = {"anyOf": [kind, {"type": "null"}]} if column.nullable else kind
    texts = [
        column.description,
        f"Unit: {column.unit}." if column.unit else None,
        _range(column),
        "A time without an offset is of UTC." if column.utc else None,
        "Spaces around it are ignored." if column.strip else None,
    ]
    if any(texts):
        described["description"] = " ".join(_sentence(text) for text in texts if text)
    if column.unit:
        described["x-unit"] = column.unit
    if not column.required:
        described["default"] = column.default
    if column.example is not None:
        described["examples"] = [column.example]
    return described


def _constrained(column: ColumnSchema) -> dict[str, Any]:
    kind = dict(_TYPES[column.kind])
    if column.kind is ColumnKind.VECTOR:
        items = _constrained(column.element(0))
        return {**kind, "items": items, "minItems": column.length, "maxItems": column.length}
    if column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        kind |= {_BOUNDS[keyword]: limit for keyword, limit in column.effective_bounds().items()}
        if column.multiple_of is not None:
            kind["multipleOf"] = column.multiple_of
    if column.kind is ColumnKind.CATEGORY and column.categories is not None:
        kind["enum"] = list(column.categories)
    elif column.kind is ColumnKind.CATEGORY:
        kind |= {"minLength": 1, "maxLength": column.max_length or MAX_CATEGORY_LENGTH}
    return kind


def _range(column: ColumnSchema) -> str | None:
    """Describes the bounds of a date or time in text, because JSON Schema has no keywords for them."""
    if column.kind not in (ColumnKind.DATE, ColumnKind.DATETIME):
        return None
    names = {"ge": "from", "gt": "after", "le": "up to", "lt": "before"}
    parts = [
        f"{names[keyword]} {format_time(limit) if isinstance(limit, datetime) else limit}"
        for keyword, limit in column.bounds()
    ]
    return f"Allowed: {', '.join(parts)}." if parts else None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
