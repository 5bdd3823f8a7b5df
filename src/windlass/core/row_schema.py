"""Schema of a row: its columns, their kinds, ranges and units. `schema.json` stores it."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.csv_format import DEFAULT_CSV, SPACES, CsvFormat
from windlass.core.timestamps import NOT_A_TIME, from_seconds, to_seconds, to_utc
from windlass.errors import nearest_name

EPOCH = date(1970, 1, 1)
MISSING_TEXT = ""  # a missing category, as an engine sees it; a real category is never empty
SURROUNDING_SPACES = " \t\r\n\f\v\u00a0"  # around text, which `strip` removes
MAX_VECTOR_LENGTH = 10_000
MAX_INTEGER = 2**53  # integers become float64, which is exact up to here
MAX_CATEGORY_LENGTH = 256
MIN_ROW_LIMIT = 64 << 10  # bytes of JSON that a row may always take
_ESCAPED = 12  # bytes of a character as JSON: two escaped halves of a surrogate pair
_NUMBER = 64  # bytes of a number, a date or a boolean, and of the spaces around it


class ColumnKind(StrEnum):
    """Kind of the values of a column."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CATEGORY = "category"
    VECTOR = "vector"


_TYPE_ERRORS = {
    ColumnKind.NUMBER: "Input should be a valid number",
    ColumnKind.INTEGER: "Input should be a valid integer",
    ColumnKind.BOOLEAN: "Input should be a valid boolean",
    ColumnKind.DATE: "Input should be a valid date",
    ColumnKind.DATETIME: NOT_A_TIME,
    ColumnKind.CATEGORY: "Input should be a valid string",
}


class ColumnSchema(BaseModel):
    """Column of a row, with its kind, inclusive (`ge`, `le`) or exclusive (`gt`, `lt`) bounds, and description.

    `name` is what data, requests and answers call it. `field` is the name of its field in Python where that is
    another; nobody else uses it. With `utc`, a time without an offset is of UTC; with `strip`, spaces around text are
    not part of it. A vector has `length` numbers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    field: str | None = None
    kind: ColumnKind
    nullable: bool = False
    required: bool = True
    default: float | bool | int | str | tuple[float, ...] | None = None
    description: str | None = None
    unit: str | None = None
    example: float | bool | int | str | tuple[float, ...] | None = None
    ge: float | date | datetime | None = None
    gt: float | date | datetime | None = None
    le: float | date | datetime | None = None
    lt: float | date | datetime | None = None
    multiple_of: float | None = None
    categories: tuple[str, ...] | None = None
    max_length: int | None = None
    utc: bool = False
    strip: bool = False
    length: int | None = Field(default=None, ge=1, le=MAX_VECTOR_LENGTH)

    @property
    def is_text(self) -> bool:
        """Whether the model sees the values as text; it sees all other kinds as float64."""
        return self.kind is ColumnKind.CATEGORY

    @property
    def width(self) -> int:
        """How many columns the model sees: one, or one for each number of a vector."""
        return self.length or 1

    @property
    def model_columns(self) -> "tuple[ColumnSchema, ...]":
        """The columns that the model sees: itself, or the numbers `<name>_0`, `<name>_1`, … of a vector."""
        if self.kind is not ColumnKind.VECTOR:
            return (self,)
        return tuple(map(self.element, range(self.width)))

    def element(self, index: int) -> "ColumnSchema":
        """Returns the column of one number of a vector, as the model sees it."""
        number = {"kind": ColumnKind.NUMBER, "length": None, "default": None, "example": None}
        return self.model_copy(update={**number, "name": f"{self.name}_{index}"})

    def bounds(self) -> Iterator[tuple[str, Any]]:
        """Yields the declared bounds as (keyword, limit)."""
        for keyword in ("ge", "gt", "le", "lt"):
            limit = getattr(self, keyword)
            if limit is not None:
                is_time = self.kind is ColumnKind.DATETIME and isinstance(limit, date)
                yield keyword, to_utc(limit, utc=True) if is_time else limit

    def effective_bounds(self) -> dict[str, Any]:
        """Returns the declared bounds; for an integer, narrowed to ±2^53, which float64 represents exactly."""
        limits: dict[str, Any] = dict(self.bounds())
        if self.kind is not ColumnKind.INTEGER:
            return limits
        limits = {
            key: int(limit) if limit == int(limit) else limit for key, limit in limits.items()
        }
        if limits.get("ge", limits.get("gt", -math.inf)) < -MAX_INTEGER:
            limits["ge"] = -MAX_INTEGER
        if limits.get("le", limits.get("lt", math.inf)) > MAX_INTEGER:
            limits["le"] = MAX_INTEGER
        return limits

    @property
    def json_limit(self) -> int:
        """How many bytes of JSON its name and a value of it may take."""
        longest = max(map(len, self.categories or ()), default=0)
        if self.is_text and self.categories is None:
            longest = self.max_length or MAX_CATEGORY_LENGTH
        return _ESCAPED * (len(self.name) + longest) + _NUMBER * self.width

    def to_float(self, value: Any) -> float:
        """Converts a valid value to the float64 that the model sees.

        Missing is NaN, -0.0 is 0.0, a date is days since 1970, and a time seconds.
        """
        if value is None:
            return float("nan")
        if self.kind is ColumnKind.DATE:
            return float((value - EPOCH).days)
        if self.kind is ColumnKind.DATETIME:
            return to_seconds(value)
        return float(value) + 0.0

    def to_json(self, value: Any) -> float | int | bool | str | list[float] | None:
        """Converts what the model sees (float64, text, or a vector [length]) back to the JSON value of a client."""
        if self.kind is ColumnKind.VECTOR:
            numbers: list[float] = value.tolist()
            return None if math.isnan(numbers[0]) else numbers
        if self.is_text:
            return None if value == MISSING_TEXT else str(value)
        if value != value:  # noqa: PLR0124 - NaN
            return None
        convert = _TO_JSON.get(self.kind, float)
        return convert(value)


def _date_text(days: float) -> str:
    return (EPOCH + timedelta(days=int(days))).isoformat()


def _time_text(seconds: float) -> str:
    return from_seconds(seconds).isoformat()


_TO_JSON: dict[ColumnKind, Callable[[float], int | bool | str]] = {
    ColumnKind.INTEGER: int,
    ColumnKind.BOOLEAN: bool,
    ColumnKind.DATE: _date_text,
    ColumnKind.DATETIME: _time_text,
}


class RowSchema(BaseModel):
    """Schema of a row: its columns in declared order, in which the model sees them, and how its cells are written.

    A text that is one of `missing` stands for a missing value, and so does an empty cell of CSV.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str
    description: str | None = None
    columns: tuple[ColumnSchema, ...] = Field(min_length=1)
    missing: tuple[str, ...] = ()
    csv: CsvFormat = DEFAULT_CSV

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in declared order."""
        return tuple(column.name for column in self.columns)

    @property
    def model_columns(self) -> tuple[ColumnSchema, ...]:
        """The columns that the model sees, in declared order: a vector is one for each of its numbers."""
        return tuple(chain.from_iterable(column.model_columns for column in self.columns))

    @property
    def numeric(self) -> tuple[ColumnSchema, ...]:
        """The columns that the model sees as float64, in declared order."""
        return tuple(column for column in self.model_columns if not column.is_text)

    @property
    def text(self) -> tuple[ColumnSchema, ...]:
        """The columns that the model sees as text, in declared order."""
        return tuple(column for column in self.columns if column.is_text)

    @property
    def json_limit(self) -> int:
        """How many bytes of JSON a row may take: more than a valid row needs, and at least MIN_ROW_LIMIT."""
        return max(MIN_ROW_LIMIT, sum(column.json_limit for column in self.columns))

    def missing_texts(self, column: ColumnSchema) -> tuple[str, ...]:
        """Returns the texts that stand for a missing value of a column: a declared category is none of them.

        Around numbers, booleans and dates, spaces do not count, and so they do not in these texts.
        """
        if not column.is_text:
            return tuple(text.strip(SPACES) for text in self.missing)
        return tuple(text for text in self.missing if text not in (column.categories or ()))

    def meant_name(self, name: str, absent: Iterable[str]) -> str | None:
        """Returns which of the `absent` columns a misspelt name probably means, or the name of a field in Python."""
        absent = list(absent)
        fields = {column.field: column.name for column in self.columns if column.name in absent}
        return fields.get(name) or nearest_name(name, absent)

    def __getitem__(self, name: str) -> ColumnSchema:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @classmethod
    def from_columns(cls, title: str, *columns: ColumnSchema) -> Self:
        """Makes a schema of these columns."""
        return cls(title=title, columns=columns)


def type_error_message(column: ColumnSchema) -> str:
    """Returns the message that pydantic gives for a value of another type."""
    if column.kind is ColumnKind.VECTOR:
        return f"Input should be a list of {column.width} number{'s' * (column.width != 1)}"
    if column.categories is None:
        return _TYPE_ERRORS[column.kind]
    *most, last = [f"'{category}'" for category in column.categories]
    return f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}"
