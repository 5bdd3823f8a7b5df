"""Columns of text: categories, and the numbers, booleans and dates that CSV writes as text."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.csv_format import DEFAULT_CSV, CsvFormat
from windlass.core.row_schema import (
    MAX_CATEGORY_LENGTH,
    MISSING_TEXT,
    SURROUNDING_SPACES,
    ColumnKind,
    ColumnSchema,
    RowSchema,
    type_error_message,
)
from windlass.core.row_validator import RowValidator
from windlass.core.timestamps import NOT_A_TIME, to_microseconds
from windlass.errors import RowsError
from windlass.tables.arrow_numpy import number_array, text_array, to_mask, to_numpy, validity_mask
from windlass.tables.column_checks import ColumnCheck, Rows
from windlass.tables.text_cells import (
    read_booleans,
    read_dates,
    read_integers,
    read_numbers,
    read_times,
    read_utc_times,
)

_MAX_PLAIN_INTEGER = 10**15  # below it float64 holds every integer
_SPACE_AROUND = r"^[ \t]|[ \t]$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text, in any of its layouts."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def strip_texts(texts: Any) -> Any:
    """Return the same texts without the spaces around them; a dictionary and other types are kept."""
    if pa.types.is_dictionary(texts.type):
        return pa.DictionaryArray.from_arrays(texts.indices, strip_texts(texts.dictionary))
    if not is_text(texts.type):
        return texts
    return pc.utf8_trim(texts, characters=SURROUNDING_SPACES)


def read_categories(cells: ColumnCheck, column: ColumnSchema, texts: Any) -> NDArray[np.object_]:
    """Validate the present cells of a text array; returns object [n], "" where a cell is not present.

    Every distinct text is validated once.
    """
    encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.large_string())
    codes = to_numpy(encoded.indices)
    if cells.present is not None:
        codes = np.where(cells.present, codes, 0)
    if column.categories is not None:
        allowed = text_array(column.categories).cast(pa.large_string())
        fits = to_mask(pc.is_in(distinct, value_set=allowed))
        _reject_texts(cells, codes, fits, type_error_message(column))
    else:
        length = to_numpy(pc.utf8_length(distinct))
        longest = column.max_length or MAX_CATEGORY_LENGTH
        _reject_texts(cells, codes, length > 0, "String should have at least 1 character")
        reason = f"String should have at most {longest} character{'s' * (longest != 1)}"
        _reject_texts(cells, codes, length <= longest, reason)
    objects = np.empty(len(distinct) + 1, object)
    objects[:-1] = distinct.to_pylist()
    objects[-1] = MISSING_TEXT
    if cells.present is not None:
        codes = np.where(cells.present, codes, len(objects) - 1)
    picked: NDArray[np.object_] = objects[codes]
    return picked


def _reject_texts(
    cells: ColumnCheck, codes: NDArray[Any], fits: NDArray[np.bool_], reason: str
) -> None:
    if not fits.all():
        cells.reject(~fits[codes], reason)


def read_texts(
    column: ColumnSchema, texts: Any, present: NDArray[np.bool_] | None, csv: CsvFormat | None
) -> ColumnCheck:
    """Numbers, integers, booleans, dates or times out of text, as `RowValidator.parse_text_row` reads it.

    Dates become days since 1970, times microseconds. What `text_cells` reads is read at once; each distinct text of
    another form goes to pydantic. `csv` is the format of CSV; without it, the texts are as in JSON, where a date is
    YYYY-MM-DD.
    """
    kind = np.int64 if column.kind is ColumnKind.DATETIME else np.float64
    cells = ColumnCheck(
        np.zeros(len(texts), kind), np.ones(len(texts), np.bool_) if present is None else present
    )
    assert cells.present is not None
    if column.kind is ColumnKind.DATE and csv is None:
        is_date = to_mask(pc.match_substring_regex(texts, _DATE))
        cells.reject(~is_date, "Input should be a valid date in the format YYYY-MM-DD")
    if column.kind is ColumnKind.DATETIME and csv is None:
        has_spaces = to_mask(pc.match_substring_regex(texts, _SPACE_AROUND))
        cells.reject(has_spaces, NOT_A_TIME)
    csv = csv or DEFAULT_CSV
    values = _read_plain(column, texts, csv)
    numbers = to_numpy(values.cast(pa.uint8()) if pa.types.is_boolean(values.type) else values)
    valid = validity_mask(values)
    plain = cells.present if valid is None else valid & cells.present
    if column.kind is ColumnKind.INTEGER:
        plain = plain & (np.abs(numbers) < _MAX_PLAIN_INTEGER)
    cells.values[plain] = numbers[plain]
    odd = np.flatnonzero(cells.present & ~plain)
    if len(odd):
        _read_unusual(cells, column, texts.take(number_array(odd)), odd, csv)
    return cells


def _read_plain(column: ColumnSchema, texts: Any, csv: CsvFormat) -> Any:
    match column.kind:
        case ColumnKind.NUMBER:
            return read_numbers(texts, csv)
        case ColumnKind.INTEGER:
            return read_integers(texts, csv)
        case ColumnKind.BOOLEAN:
            return read_booleans(texts)
        case ColumnKind.DATETIME:
            return read_utc_times(texts) if column.utc else read_times(texts)
        case _:
            return read_dates(texts)


def _read_unusual(
    cells: ColumnCheck, column: ColumnSchema, texts: Any, rows: Rows, csv: CsvFormat
) -> None:
    """Validate each distinct text once with pydantic, bounds included."""
    cell = column.model_copy(update={"nullable": False, "required": True, "default": None})
    validator = RowValidator(RowSchema(title="cell", columns=(cell,), csv=csv))
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    codes = to_numpy(encoded.indices)
    values = np.zeros(len(distinct), cells.values.dtype)
    reasons: dict[str, list[int]] = {}
    for code, text in enumerate(distinct):
        try:
            value = validator.parse_text_row({cell.name: text})[cell.name]
            is_time = cell.kind is ColumnKind.DATETIME
            values[code] = to_microseconds(value) if is_time else cell.to_float(value)
        except RowsError as error:
            reasons.setdefault(error.faults[0]["msg"], []).append(code)
    cells.values[rows] = values[codes]
    for reason, wrong in reasons.items():
        mask = np.zeros(len(cells.values), np.bool_)
        mask[rows[np.isin(codes, wrong)]] = True
        cells.reject(mask, reason)
