"""Validates rows against their schema: JSON or CSV text in, values in declared order out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.batch import Batch
from windlass.core.json_members import RepeatedMemberError, require_single_members_of_rows
from windlass.core.numeric_row_reader import NumericRowReader
from windlass.core.pydantic_schemas import row_schema
from windlass.core.row_schema import MISSING_TEXT, ColumnKind, RowSchema
from windlass.core.text_cell import MissingMarkers, missing_fault, text_cell_readers
from windlass.errors import Fault, RowsError

Values = dict[str, Any]  # a row by column name
MAX_FAULTS = 100  # per response
_MAX_COMPARED = 20  # unknown fields of a row that are compared with declared ones
MAX_EXPLAINED_BYTES = 1 << 20  # for larger bodies, only the first invalid row is described

_EMPTY_TEXT_ROW = np.empty((1, 0), object)


class RowValidator:
    """Validates rows strictly: no strings for numbers, no NaN or infinity, no unknown field.

    Raises RowsError, whose text does not repeat the input. Of a large body, only the first invalid row is
    described, so that an invalid body does not cost more time than a valid one.
    """

    def __init__(self, schema: RowSchema) -> None:
        self.schema = schema
        # extra fields are found by counting, which is cheaper
        row = row_schema(schema, extra="allow")
        self._row_validator = SchemaValidator(row)
        self._rows_validator = SchemaValidator(core_schema.list_schema(row, fail_fast=True))
        self._text_validator = SchemaValidator(row_schema(schema, extra="forbid", strict=False))
        self._is_numeric = not schema.text and all(
            column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)
            and not column.nullable
            for column in schema.columns
        )
        self._numeric_reader = NumericRowReader.from_schema(schema)
        self._width = len(schema.columns)
        self._has_defaults = not all(column.required for column in schema.columns)
        self._names = frozenset(schema.names)
        self._aliases = _aliases(schema)
        self._numbers = [column for column in schema.columns if not column.is_text]
        self._numeric_width = sum(column.width for column in self._numbers)
        self._text = schema.text
        self._text_cells = text_cell_readers(schema)
        self._markers = MissingMarkers(schema) if schema.missing else None
        self._nullable = frozenset(column.name for column in schema.columns if column.nullable)

    def parse_row(self, body: bytes) -> Values:
        """Parses a row as JSON."""
        try:
            row: Values = self._row_validator.validate_json(body)
        except ValidationError as error:
            if (plain := self._without_markers(body)) is not None:
                return self.parse_row(plain)
            raise self._explain(body, _loads(body)) or rows_error(error) from None
        if len(row) != self._width:
            raise self._explain(body, row) or _extra([])
        if self._has_defaults or body.count(b":") != self._width:
            require_single_fields(body, [row], self._count_fields(1))
        if self._markers is not None:
            self._markers.replace_in_row(row)
        return row

    def parse_rows(self, body: bytes) -> list[Values]:
        """Parses a JSON array of rows."""
        try:
            rows: list[Values] = self._rows_validator.validate_json(body)
        except ValidationError as error:
            if (plain := self._without_markers(body)) is not None:
                return self.parse_rows(plain)
            raise self._explain_all(body) or rows_error(error) from None
        if any(map(self._width.__ne__, map(len, rows))):
            index = next(i for i, row in enumerate(rows) if len(row) != self._width)
            raise self._explain_all(body) or _extra([index])
        require_single_fields(body, rows, self._count_fields(len(rows)))
        if self._markers is not None:
            self._markers.replace_in_rows(rows)
        return rows

    def _without_markers(self, body: bytes) -> bytes | None:
        """Returns an invalid body without its missing markers; None where it has none."""
        plain = None if self._markers is None else self._markers.replaced(body)
        if plain is not None:
            parsed = orjson.loads(body)
            require_single_fields(body, parsed if isinstance(parsed, list) else [parsed], None)
        return plain

    def _count_fields(self, rows: int) -> int | None:
        """Returns how many fields so many parsed rows were sent with; None where some may be defaults."""
        return None if self._has_defaults else self._width * rows

    def parse_batch(self, body: bytes, parsed: Any = None) -> tuple[list[Values], Batch]:
        """Parses a JSON array of rows; returns the rows and the same as a batch.

        `parsed` is the same array, where the caller has it.
        """
        if self._numeric_reader is not None:
            numeric = self._numeric_reader.read(_loads(body) if parsed is None else parsed)
            if numeric is not None:
                require_single_fields(body, numeric[0], self._width * len(numeric[0]))
                return numeric
        rows = self.parse_rows(body)
        return rows, self.to_batch(rows)

    def parse_values(self, rows: Sequence[Any]) -> tuple[list[Values], Batch]:
        """Validates rows of JSON values, as `parse_batch` does. Raises TypeError for what JSON cannot hold."""
        numeric = self._numeric_reader and self._numeric_reader.read(rows)
        return numeric or self.parse_batch(orjson.dumps(rows), rows)

    def parse_text_row(self, cells: Mapping[str, str]) -> Values:
        """Parses a row of CSV: every value is text, and `text_cell` says what it means."""
        read = {
            name: self._text_cells[name](cell) if name in self._text_cells else cell
            for name, cell in cells.items()
        }
        empty = [name for name, text in read.items() if text is None]
        if wrong := [name for name in empty if name not in self._nullable]:
            raise RowsError([missing_fault(self.schema[name]) for name in wrong[:MAX_FAULTS]])
        filled: dict[str, Any] = {name: text for name, text in read.items() if text is not None}
        try:
            row: Values = self._text_validator.validate_strings(filled) | dict.fromkeys(empty)
        except ValidationError as error:
            invalid = rows_error(error)
            if aliased := self._aliased_faults(cells):
                raise RowsError([*aliased, *invalid.faults][:MAX_FAULTS]) from None
            raise invalid from None
        if missing := [name for name in self.schema.names if name not in row]:
            raise RowsError([{"loc": [name], "msg": "Field required"} for name in missing])
        return row

    def _explain(self, body: bytes, row: Any) -> RowsError | None:
        """Describes all faults of a row, given as JSON and parsed; unknown fields, however many, are one of them."""
        faults: list[Fault] = []
        try:
            self._row_validator.validate_json(body)
        except ValidationError as error:
            invalid = rows_error(error)
            if invalid.malformed:
                return invalid
            faults += invalid.faults
        if isinstance(row, dict) and not row.keys() <= self._names:
            aliased = self._aliased_faults(row)
            faults += aliased
            if not row.keys() <= self._names | {fault["loc"][0] for fault in aliased}:
                faults += [_extra_fault(self._meant_names(row))]
        return RowsError(faults[:MAX_FAULTS]) if faults else None

    def _aliased_faults(self, fields: Iterable[str]) -> list[Fault]:
        """Returns a fault for each of these fields that has the Python name of a column instead of its own."""
        return [
            {"loc": [name], "msg": f"This field is called {self._aliases[name]!r}"}
            for name in fields
            if name in self._aliases
        ]

    def _meant_names(self, fields: Mapping[str, Any]) -> list[str]:
        """Returns the absent columns that unknown fields probably mean; the fields themselves are not repeated."""
        absent = [name for name in self.schema.names if name not in fields]
        unknown = [name for name in fields if name not in self._names][:_MAX_COMPARED]
        meant = [self.schema.meant_name(name, absent) for name in unknown if absent]
        return sorted({name for name in meant if name is not None})

    def _explain_all(self, body: bytes) -> RowsError | None:
        """Describes the faults of an array of rows, up to MAX_FAULTS; None if the body is too large."""
        try:
            rows = orjson.loads(body) if len(body) <= MAX_EXPLAINED_BYTES else None
        except orjson.JSONDecodeError:
            return None
        faults: list[Fault] = []
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            error = self._explain(orjson.dumps(row), row)
            if error is not None:
                faults += [{**fault, "loc": [index, *fault["loc"]]} for fault in error.faults]
            if len(faults) >= MAX_FAULTS:
                break
        return RowsError(faults[:MAX_FAULTS]) if faults else None

    def to_batch(self, rows: Sequence[Values]) -> Batch:
        """Converts validated rows to arrays; -0.0 becomes 0.0, by adding 0.0."""
        if self._is_numeric and len(rows) == 1:
            return Batch(np.array([list(rows[0].values())], np.float64) + 0.0, _EMPTY_TEXT_ROW)
        if self._is_numeric:
            shape = (len(rows), self._numeric_width)
            flat = np.fromiter(
                chain.from_iterable(map(dict.values, rows)), np.float64, shape[0] * shape[1]
            )
            return Batch(flat.reshape(shape) + 0.0, np.empty((shape[0], 0), object))
        numeric = np.empty((len(rows), self._numeric_width))
        end = 0
        for column in self._numbers:
            start, end = end, end + column.width
            if column.kind is ColumnKind.VECTOR:
                missing = [np.nan] * column.width
                numeric[:, start:end] = [row[column.name] or missing for row in rows]
                numeric[:, start:end] += 0.0
            else:
                numeric[:, start] = [column.to_float(row[column.name]) for row in rows]
        text = np.empty((len(rows), len(self._text)), object)
        for j, column in enumerate(self._text):
            text[:, j] = [
                MISSING_TEXT if row[column.name] is None else row[column.name] for row in rows
            ]
        return Batch(numeric, text)


def _aliases(schema: RowSchema) -> dict[str, str]:
    """Returns the names of columns by the names of their fields in Python, which requests do not use."""
    return {
        column.field: column.name
        for column in schema.columns
        if column.field is not None and column.field not in schema.names
    }


def require_single_fields(text: bytes, rows: Sequence[Any], fields: int | None) -> None:
    """Raises RowsError where a row has a field twice.

    `text` is the JSON array of these valid rows, or the one row; `fields` is how many fields were parsed, None where
    that is not known.
    """
    try:
        require_single_members_of_rows(text, fields)
    except RepeatedMemberError as error:
        indices = [index for index, row in enumerate(rows) if isinstance(row, dict)]
        is_array = text.lstrip().startswith(b"[")
        row: list[str | int] = [indices[error.index]] if is_array else []
        raise RowsError([{"loc": [*row, error.name], "msg": "Field given twice"}]) from None


def _extra(loc: list[str | int]) -> RowsError:
    return RowsError([{**_extra_fault([]), "loc": loc}])


def _extra_fault(meant: Sequence[str]) -> Fault:
    names = " or ".join(map(repr, meant[:5]))
    return {
        "loc": [],
        "msg": "Extra inputs are not permitted" + (f". Did you mean {names}?" if meant else ""),
    }


def _loads(body: bytes) -> Any:
    """Returns the parsed body; None if it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def rows_error(error: ValidationError) -> RowsError:
    """Converts pydantic's error; the result has reasons and declared names, and nothing that the input held."""
    items = error.errors(include_url=False, include_context=False, include_input=False)
    malformed = any(item["type"] == "json_invalid" for item in items)
    faults: list[Fault] = []
    extra = set[tuple[int | str, ...]]()  # locations that have unknown fields
    for item in items:
        loc = item["loc"]
        if item["type"] == "extra_forbidden":
            loc = loc[:-1]
            if loc in extra:
                continue
            extra.add(loc)
        faults.append({"loc": list(loc), "msg": item["msg"]})
        if len(faults) == MAX_FAULTS:
            break
    return RowsError(faults, malformed=malformed)
