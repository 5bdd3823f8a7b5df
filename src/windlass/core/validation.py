"""The row's own validator, built from its sealed schema: JSON in, values in declared order out."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import chain
from typing import Any

import numpy as np
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    SchemaValidator,
    ValidationError,
    core_schema,
)

from windlass.core.batch import Batch
from windlass.core.schema import (
    LARGEST_INTEGER,
    LONGEST_CATEGORY,
    MISSING_TEXT,
    Column,
    Kind,
    RowSchema,
)

Values = dict[str, Any]
Fault = dict[str, Any]  # {"loc": [...], "msg": "..."}
_NO_TEXT = np.empty((1, 0), object)
MOST_FAULTS = 100  # that one answer names


class RowValidator:
    """Validates rows strictly: no strings for numbers, no NaN or infinity, no unknown field.

    Raises pydantic_core.ValidationError, which `faults` turns into what an answer may say.
    """

    def __init__(self, schema: RowSchema) -> None:
        self.schema = schema
        row = _row_schema(schema)
        self._one = SchemaValidator(row)
        self._many = SchemaValidator(core_schema.list_schema(row))
        self._strings = SchemaValidator(_row_schema(schema, strict=False))
        self._plain = not schema.text and all(
            column.kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN) and not column.nullable
            for column in schema.columns
        )
        self._numeric = schema.numeric
        self._text = schema.text
        self.row = self._one.validate_json
        self.rows = self._many.validate_json
        self.row_object = self._one.validate_python
        self._nullable = frozenset(column.name for column in schema.columns if column.nullable)

    def row_strings(self, cells: Mapping[str, str]) -> Values:
        """A row of CSV: every value as text, an empty cell is null."""
        empty = {name for name, cell in cells.items() if not cell and name in self._nullable}
        given: dict[str, Any] = {name: cell for name, cell in cells.items() if name not in empty}
        row: Values = self._strings.validate_strings(given) | dict.fromkeys(empty)
        if missing := [name for name in self.schema.names if name not in row]:
            details = [
                InitErrorDetails(type="missing", loc=(name,), input=None) for name in missing
            ]
            raise ValidationError.from_exception_data(self.schema.title, details)
        return row

    def batch(self, rows: Sequence[Values]) -> Batch:
        """Validated rows as arrays."""
        if self._plain and len(rows) == 1:
            return Batch(np.array([list(rows[0].values())], np.float64), _NO_TEXT)
        if self._plain:
            shape = (len(rows), len(self._numeric))
            flat = np.fromiter(
                chain.from_iterable(map(dict.values, rows)), np.float64, shape[0] * shape[1]
            )
            return Batch(flat.reshape(shape), np.empty((shape[0], 0), object))
        numeric = np.empty((len(rows), len(self._numeric)))
        for j, column in enumerate(self._numeric):
            numeric[:, j] = [column.number(row[column.name]) for row in rows]
        text = np.empty((len(rows), len(self._text)), object)
        for j, column in enumerate(self._text):
            text[:, j] = [
                MISSING_TEXT if row[column.name] is None else row[column.name] for row in rows
            ]
        return Batch(numeric, text)


def faults(error: ValidationError) -> list[Fault]:
    """What was wrong and where, without the values that were sent."""
    return [
        {"loc": [_shown(part) for part in item["loc"]], "msg": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)[
            :MOST_FAULTS
        ]
    ]


def is_malformed(error: ValidationError) -> bool:
    """Whether the body was no JSON at all, rather than JSON that does not fit."""
    return any(
        item["type"] == "json_invalid"
        for item in error.errors(include_url=False, include_context=False)
    )


def _shown(part: str | int) -> str | int:
    return part[:64] if isinstance(part, str) else part


def _row_schema(schema: RowSchema, *, strict: bool = True) -> CoreSchema:
    fields = {
        column.name: core_schema.typed_dict_field(
            _column_schema(column, strict=strict),
            # an empty cell of CSV is left out, and null where the column may be
            required=column.required and (strict or not column.nullable),
        )
        for column in schema.columns
    }
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid", strict=strict)


def _column_schema(column: Column, *, strict: bool) -> CoreSchema:
    inner = _value_schema(column, strict=strict)
    if column.nullable:
        inner = core_schema.nullable_schema(inner)
    if not column.required:
        inner = core_schema.with_default_schema(inner, default=default_value(column))
    return inner


def default_value(column: Column) -> Any:
    """The value of a field that was left out."""
    if column.kind is Kind.DATE and isinstance(column.default, str):
        return date.fromisoformat(column.default)
    return column.default


def _value_schema(column: Column, *, strict: bool) -> CoreSchema:
    bounds: dict[str, Any] = dict(column.bounds())
    match column.kind:
        case Kind.NUMBER:
            return core_schema.float_schema(
                strict=strict, allow_inf_nan=False, multiple_of=column.multiple_of, **bounds
            )
        case Kind.INTEGER:
            return _integer_schema(column, bounds, strict=strict)
        case Kind.BOOLEAN:
            return core_schema.bool_schema(strict=strict)
        case Kind.DATE:
            return core_schema.date_schema(strict=strict, **bounds)
        case Kind.CATEGORY if column.categories is not None:
            return core_schema.literal_schema(list(column.categories))
        case Kind.CATEGORY:
            longest = column.max_length or LONGEST_CATEGORY
            return core_schema.str_schema(strict=strict, min_length=1, max_length=longest)


def _integer_schema(column: Column, bounds: dict[str, Any], *, strict: bool) -> CoreSchema:
    limits: dict[str, Any] = {
        keyword: int(limit) if limit == int(limit) else limit for keyword, limit in bounds.items()
    }
    if "ge" not in limits and "gt" not in limits:
        limits["ge"] = -LARGEST_INTEGER
    if "le" not in limits and "lt" not in limits:
        limits["le"] = LARGEST_INTEGER
    multiple_of = None if column.multiple_of is None else int(column.multiple_of)
    return core_schema.int_schema(strict=strict, multiple_of=multiple_of, **limits)
