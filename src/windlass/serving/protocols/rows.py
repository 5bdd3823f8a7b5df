"""Rows of other protocols: parses JSON objects and lists, and validates them."""

from collections.abc import Sequence
from typing import Any

import orjson

from windlass.core.row_schema import RowSchema
from windlass.serving.model import ServedModel
from windlass.serving.predict import Rows, parse_rows
from windlass.web.problems import invalid, malformed


def parse_object(body: bytes) -> dict[str, Any]:
    """Parses a body that is a JSON object. Raises Problem 400 or 422."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise invalid([{"loc": [], "msg": "Input should be an object"}])
    return value


def rows_from_items(schema: RowSchema, items: Any, name: str) -> list[Any]:
    """Returns a row for each item, an object or a list of values in declared order. Raises Problem 422."""
    if not isinstance(items, list):
        raise invalid([{"loc": [name], "msg": "Input should be a list"}])
    return [row_from_values(schema.names, item, [name, index]) if isinstance(item, list) else item
            for index, item in enumerate(items)]  # fmt: skip


def row_from_values(
    names: Sequence[str], values: Sequence[Any], loc: list[str | int]
) -> dict[str, Any]:
    """Returns a row from values in the order of `names`. Raises Problem 422 where their numbers differ."""
    if len(values) != len(names):
        raise invalid(
            [{"loc": loc, "msg": f"Input should have {len(names)} values, got {len(values)}"}]
        )
    return dict(zip(names, values, strict=True))


def validate_rows(model: ServedModel, rows: Sequence[Any]) -> Rows:
    """Validates rows by the model's schema, as JSON. Raises Problem 422."""
    try:
        encoded = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        raise invalid([{"loc": [], "msg": "Input holds a value that JSON cannot"}]) from None
    return parse_rows(model, encoded)
