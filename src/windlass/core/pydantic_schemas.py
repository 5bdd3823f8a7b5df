"""Schemas of pydantic-core for rows: what each kind of column accepts in JSON, and as text in CSV."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from windlass.core.row_schema import (
    MAX_CATEGORY_LENGTH,
    SURROUNDING_SPACES,
    ColumnKind,
    ColumnSchema,
    RowSchema,
    type_error_message,
)
from windlass.core.text_cell import DATE_OR_MIDNIGHT
from windlass.core.timestamps import NOT_A_TIME, parse_time

_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def row_schema(
    schema: RowSchema, *, extra: Literal["allow", "forbid"], strict: bool = True
) -> CoreSchema:
    """Returns the schema of a row in JSON; unless `strict`, of a row of CSV: text, as `text_cell` reads it."""
    fields = {
        column.name: core_schema.typed_dict_field(
            _column_schema(column, strict=strict),
            # an empty cell of CSV is left out; it is null if the column is nullable
            required=column.required and (strict or not column.nullable),
        )
        for column in schema.columns
    }
    return core_schema.typed_dict_schema(fields, extra_behavior=extra, strict=strict)


def _column_schema(column: ColumnSchema, *, strict: bool) -> CoreSchema:
    inner = _value_schema(column, strict=strict)
    if column.nullable:
        inner = core_schema.nullable_schema(inner)
    if not column.required:
        inner = core_schema.with_default_schema(inner, default=default_value(column))
    return inner


def default_value(column: ColumnSchema) -> Any:
    """Returns the value of an omitted field."""
    if column.kind is ColumnKind.DATE and isinstance(column.default, str):
        return date.fromisoformat(column.default)
    if column.kind is ColumnKind.DATETIME and isinstance(column.default, str):
        return parse_time(column.default, utc=column.utc)
    if isinstance(column.default, tuple):
        return list(column.default)
    return column.default


def _value_schema(column: ColumnSchema, *, strict: bool) -> CoreSchema:
    bounds = column.effective_bounds()
    match column.kind:
        case ColumnKind.NUMBER | ColumnKind.VECTOR:
            is_vector = column.kind is ColumnKind.VECTOR
            number = core_schema.float_schema(
                strict=strict or is_vector,
                allow_inf_nan=False,
                multiple_of=column.multiple_of,
                **bounds,
            )
            return _vector_schema(column, number, strict=strict) if is_vector else number
        case ColumnKind.INTEGER:
            return _integer_schema(column, bounds, strict=strict)
        case ColumnKind.BOOLEAN:
            return core_schema.bool_schema(strict=strict)
        case ColumnKind.DATE:
            return _date_schema(bounds, strict=strict)
        case ColumnKind.DATETIME:
            return _time_schema(bounds, utc=column.utc)
        case ColumnKind.CATEGORY:
            return _text_schema(column, strict=strict)


def _text_schema(column: ColumnSchema, *, strict: bool) -> CoreSchema:
    longest = column.max_length or MAX_CATEGORY_LENGTH
    texts: CoreSchema = core_schema.str_schema(strict=strict, min_length=1, max_length=longest)
    if column.categories is not None:
        texts = core_schema.literal_schema(list(column.categories))
    return core_schema.no_info_before_validator_function(_strip, texts) if column.strip else texts


def _strip(value: Any) -> Any:
    return value.strip(SURROUNDING_SPACES) if isinstance(value, str) else value


def _vector_schema(column: ColumnSchema, number: CoreSchema, *, strict: bool) -> CoreSchema:
    """Returns a schema of lists of numbers; in CSV a cell holds the list as JSON has it."""
    length = column.width
    values: CoreSchema = core_schema.list_schema(strict=True, min_length=length, max_length=length)
    return core_schema.chain_schema(
        [
            core_schema.custom_error_schema(
                values if strict else core_schema.json_schema(values),
                "vector",
                custom_error_message=type_error_message(column),
            ),
            core_schema.list_schema(number, strict=True),
        ]
    )


def _time_schema(bounds: dict[str, Any], *, utc: bool) -> CoreSchema:
    """Returns a schema of times as text, whose values are in UTC; numbers, of seconds or other, are no times."""

    def parse(text: str) -> datetime:
        try:
            return parse_time(text, utc=utc)
        except ValueError as error:
            raise PydanticCustomError("time_text", "{reason}", {"reason": str(error)}) from None

    return core_schema.chain_schema(
        [
            core_schema.custom_error_schema(
                core_schema.str_schema(strict=True), "time_text", custom_error_message=NOT_A_TIME
            ),
            core_schema.no_info_plain_validator_function(parse),
            core_schema.datetime_schema(strict=True, **bounds),
        ]
    )


def _date_schema(bounds: dict[str, Any], *, strict: bool) -> CoreSchema:
    """Returns a schema of dates as text; pydantic alone would read `"0"` as seconds since 1970."""
    form = core_schema.str_schema(pattern=_DATE if strict else DATE_OR_MIDNIGHT)
    return core_schema.chain_schema(
        [
            _with_message(core_schema.str_schema(strict=True), "Input should be a valid date"),
            _with_message(form, "Input should be a valid date in the format YYYY-MM-DD"),
            core_schema.date_schema(strict=False, **bounds),
        ]
    )


def _with_message(schema: CoreSchema, message: str) -> CoreSchema:
    return core_schema.custom_error_schema(schema, "date_text", custom_error_message=message)


def _integer_schema(column: ColumnSchema, bounds: dict[str, Any], *, strict: bool) -> CoreSchema:
    """Returns a schema of integers; in JSON, 30.0 is one, as JSON Schema says, and 30.5 is not."""
    multiple_of = None if column.multiple_of is None else int(column.multiple_of)
    integer = core_schema.int_schema(strict=strict, multiple_of=multiple_of, **bounds)
    if not strict:
        return integer
    number = core_schema.float_schema(strict=True, allow_inf_nan=False)
    choices: list[CoreSchema | tuple[CoreSchema, str]] = [
        core_schema.int_schema(strict=True),
        core_schema.chain_schema([number, core_schema.int_schema(strict=False)]),
    ]
    either = core_schema.union_schema(choices, mode="left_to_right")
    return core_schema.chain_schema([core_schema.custom_error_schema(either, "int_type"), integer])
