"""Rows of other protocols: lists of objects or of values, read from a body a piece at a time and validated."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from windlass.core.row_schema import RowSchema
from windlass.core.row_validator import RowValidator, require_single_fields
from windlass.errors import counted
from windlass.serving.json_reader import JsonReader
from windlass.serving.model import ServedModel
from windlass.serving.predict import Rows, validate_piece
from windlass.web.problems import Problem, invalid

Loc = list[str | int]


def open_object(model: ServedModel, body: bytes) -> JsonReader:
    """Returns a reader of a body that is a JSON object. Raises Problem 400, 413 or 422."""
    reader = JsonReader(body, model.max_row_bytes)
    if reader.peek() != b"{":
        reader.value()
        reader.end()
        raise invalid([{"loc": [], "msg": "Input should be an object"}])
    return reader


def read_rows(model: ServedModel, reader: JsonReader, name: str) -> Iterator[Rows]:
    """Yields the rows of the list `name`, which comes next: objects, or lists of values in declared order."""
    if reader.peek() != b"[":
        reader.value()
        raise not_a_list([name])
    start = 0
    for text, items in reader.pieces():
        rows = _rows_from_items(model.schema, items, name, start)
        yield validate_piece(partial(_parse_items, model.validator, rows, text, items), start)
        start += len(items)


def _parse_items(validator: RowValidator, rows: list[Any], text: bytes, items: list[Any]) -> Rows:
    parsed = validator.parse_values(rows)
    fields = sum(len(item) for item in items if isinstance(item, dict))
    require_single_fields(text, items, fields)
    return parsed


def _rows_from_items(schema: RowSchema, items: list[Any], name: str, start: int) -> list[Any]:
    return [
        row_from_values(schema.names, item, [name, index]) if isinstance(item, list) else item
        for index, item in enumerate(items, start)
    ]


def row_from_values(names: Sequence[str], values: Sequence[Any], loc: Loc) -> dict[str, Any]:
    """Returns a row from values in the order of `names`. Raises Problem 422 where their numbers differ."""
    if len(values) != len(names):
        raise invalid(
            [
                {
                    "loc": loc,
                    "msg": f"Input should have {counted(len(names), 'value')}, got {len(values)}",
                }
            ]
        )
    return dict(zip(names, values, strict=True))


def validate_rows(model: ServedModel, rows: Sequence[Any], start: int) -> Rows:
    """Validates rows by the model's schema, as JSON; `start` is the index of the first. Raises Problem 422."""
    return validate_piece(partial(model.validator.parse_values, rows), start)


def not_a_list(loc: Loc) -> Problem:
    """Returns 422: there should be a list."""
    return invalid([{"loc": loc, "msg": "Input should be a list"}])
