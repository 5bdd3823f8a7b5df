"""What a cell of text means, by the row: docs/cells.md has the table. `tables.text_cells` reads whole columns so."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from windlass.core.csv_format import SPACES, CsvFormat, plain_integer
from windlass.core.row_schema import (
    SURROUNDING_SPACES,
    ColumnKind,
    ColumnSchema,
    RowSchema,
    type_error_message,
)
from windlass.errors import Fault, RowsError

TRUE_TEXTS = ("true", "t", "yes", "y", "on", "1", "1.0")  # in lower or upper case
FALSE_TEXTS = ("false", "f", "no", "n", "off", "0", "0.0")
# cells of CSV may be written as midnight, as pandas does; an offset from UTC would leave the day open
DATE_OR_MIDNIGHT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00([.]0+)?)?)?$"
_BOOLEANS = dict.fromkeys(TRUE_TEXTS, "true") | dict.fromkeys(FALSE_TEXTS, "false")

TextCellReader = Callable[[str], str | None]


def text_cell_readers(schema: RowSchema) -> dict[str, TextCellReader]:
    """Returns a function for each column that reads a cell of text: None where it is missing, else as JSON has it."""
    return {column.name: _reader(schema, column) for column in schema.columns}


def _reader(schema: RowSchema, column: ColumnSchema) -> TextCellReader:
    missing = frozenset(("", *schema.missing_texts(column)))
    plain = _plain_text(column, schema.csv)
    spaces = "" if column.is_text else SPACES
    spaces = SURROUNDING_SPACES if column.strip else spaces

    def read(cell: str) -> str | None:
        text = cell.strip(spaces)
        return None if text in missing else plain(text)

    return read


def _plain_text(column: ColumnSchema, csv: CsvFormat) -> Callable[[str], str]:
    match column.kind:
        case ColumnKind.NUMBER:
            return csv.plain_number
        case ColumnKind.INTEGER:
            return lambda text: plain_integer(csv.plain_number(text))
        case ColumnKind.BOOLEAN:
            return lambda text: _BOOLEANS.get(text.lower(), text)
        case _:
            return str


def missing_fault(column: ColumnSchema) -> Fault:
    """Returns the fault of a missing value in a column that may not be null."""
    return {"loc": [column.name], "msg": f"{type_error_message(column)}, not null"}


class MissingMarkers:
    """Replaces the texts that stand for a missing value in rows of JSON, in columns that may be null."""

    def __init__(self, schema: RowSchema) -> None:
        texts = {column.name: frozenset(schema.missing_texts(column)) for column in schema.columns}
        self._nullable = [
            (column, texts[column.name]) for column in schema.columns if column.nullable
        ]
        self._text = [(column, texts[column.name]) for column in schema.text]

    def replace_in_row(self, row: dict[str, Any]) -> None:
        """Replaces the markers among the texts of a valid row. Raises RowsError in a column that may not be null."""
        for column, missing in self._text:
            if row[column.name] in missing:
                if not column.nullable:
                    raise RowsError([missing_fault(column)])
                row[column.name] = None

    def replace_in_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Does the same for several rows."""
        for index, row in enumerate(rows):
            try:
                self.replace_in_row(row)
            except RowsError as error:
                (fault,) = error.faults
                raise RowsError([{**fault, "loc": [index, *fault["loc"]]}]) from None

    def replaced(self, body: bytes) -> bytes | None:
        """Returns a row of JSON, or an array of rows, without markers; None where there are none to replace."""
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        changed = False
        for row in parsed if isinstance(parsed, list) else [parsed]:
            if not isinstance(row, dict):
                continue
            for column, missing in self._nullable:
                value = row.get(column.name)
                if not isinstance(value, str):
                    continue
                text = value.strip(SURROUNDING_SPACES) if column.strip else value
                if text in missing:
                    row[column.name], changed = None, True
        return orjson.dumps(parsed) if changed else None
