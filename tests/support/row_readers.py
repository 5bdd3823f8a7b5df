"""All readers of a cell of a row: JSON, CSV, and tables."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from windlass.core.batch import Batch
from windlass.core.row_schema import ColumnSchema, RowSchema
from windlass.core.row_validator import RowValidator
from windlass.errors import RowsError
from windlass.tables.validate import validate_table


def readers_of(column: ColumnSchema) -> list[Callable[[str], Any]]:
    """The readers of a row, each of which gives what the model sees of a cell; None where it is refused."""
    declared = RowSchema.from_columns("Cell", column)
    validator = RowValidator(declared)

    def of_row(parse: Callable[[str], Any]) -> Callable[[str], Any]:
        def read(cell: str) -> Any:
            try:
                return seen(validator.to_batch([parse(cell)]))
            except RowsError:
                return None

        return read

    def of_table(kind: Any, *, strings: bool) -> Callable[[str], Any]:
        def read(cell: str) -> Any:
            array = pa.array([cell], pa.string()).cast(kind)
            checked = validate_table(declared, pa.table({"a": array}), strings=strings)
            return None if checked.invalid[0] else seen(checked.batch)

        return read

    dictionary = pa.dictionary(pa.int32(), pa.string())
    return [
        of_row(lambda cell: validator.parse_row(json.dumps({"a": cell}).encode())),
        of_row(lambda cell: validator.parse_values([{"a": cell}])[0][0]),
        of_row(lambda cell: validator.parse_text_row({"a": cell})),
        of_table(pa.string(), strings=True),
        of_table(pa.string(), strings=False),
        of_table(dictionary, strings=False),
    ]


def seen(batch: Batch) -> Any:
    """What the model sees of a row of one column."""
    return (batch.numeric.tolist() + batch.text.tolist())[0] or batch.text.tolist()[0]
