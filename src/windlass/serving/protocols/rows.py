"""From the shapes that other protocols send to our rows."""

from collections.abc import Sequence
from typing import Any

import orjson

from windlass.core.row_schema import RowSchema
from windlass.serving.model import ServedModel
from windlass.serving.predict import Rows, parse_rows
from windlass.web.problems import invalid, malformed


def parse_object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises Problem 400 or 422."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise invalid([{"loc": [], "msg": "Input should be an object"}])
    return value


def rows_of(schema: RowSchema, items: Any, name: str) -> list[Any]:
    """Items that are objects, or lists of values in declared order. Raises Problem 422."""
    if not isinstance(items, list):
        raise invalid([{"loc": [name], "msg": "Input should be a list"}])
    return [named(schema.names, item, [name, index]) if isinstance(item, list) else item
            for index, item in enumerate(items)]  # fmt: skip


def named(names: Sequence[str], values: Sequence[Any], loc: list[str | int]) -> dict[str, Any]:
    """A row from values in the order of `names`. Raises Problem 422 where their numbers differ."""
    if len(values) != len(names):
        raise invalid(
            [{"loc": loc, "msg": f"Input should have {len(names)} values, got {len(values)}"}]
        )
    return dict(zip(names, values, strict=True))


def read_rows(model: ServedModel, rows: Sequence[Any]) -> Rows:
    """Rows, validated as any other: by the row's own validator, from JSON. Raises Problem 422."""
    try:
        encoded = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        raise invalid([{"loc": [], "msg": "Input holds a value that JSON cannot"}]) from None
    return parse_rows(model, encoded)
