"""Reads columns of text for all readers of CSV: missing cells, numbers, integers, booleans, dates, times.

Every function takes an Arrow array [n] of text, and gives an Arrow array [n] with null where a cell is missing or
has another form. Those that read a type take cells as `null_missing` gives them. `core.text_cell` reads single
cells so; what else a reader accepts, it reads itself (`text_columns` asks pydantic, as for JSON).
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from windlass.core.csv_format import DEFAULT_CSV, SPACES, CsvFormat, plain_integer
from windlass.core.row_schema import EPOCH
from windlass.core.text_cell import DATE_OR_MIDNIGHT, FALSE_TEXTS, TRUE_TEXTS
from windlass.tables.arrow_numpy import mask_array, number_array, text_array, to_numpy

_BOOLEANS = dict.fromkeys(TRUE_TEXTS, True) | dict.fromkeys(FALSE_TEXTS, False)
# forms that Arrow parses in whole columns
_NUMBER = DEFAULT_CSV.number_pattern
_SHORT_INTEGER = r"^-?[0-9]{1,18}$"
_DATE_OF_ANY_MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"
_TIME = (
    r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"([.][0-9]{1,6})?"
)
_ZONED_TIME = _TIME + r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
# forms of the other cells, which are parsed one by one
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_NUMBER_TEXT = re.compile(DEFAULT_CSV.number_pattern)
_DATE = re.compile(DATE_OR_MIDNIGHT[1:-1])
_YEAR_1 = (date.min - EPOCH).days


def null_missing(texts: Any, missing: Sequence[str] = (), *, strip: bool = False) -> Any:
    """The same cells, null where one is empty or one of `missing`; with `strip`, without spaces around."""
    texts = pc.utf8_trim(texts, SPACES) if strip else texts
    empty = to_numpy(pc.binary_length(texts)) == 0
    texts = _null_where(mask_array(empty), texts) if empty.any() else texts
    return null_markers(texts, missing)


def null_markers(texts: Any, missing: Sequence[str]) -> Any:
    """The same cells, null where one is one of `missing`; a dictionary is kept."""
    if not missing:
        return texts
    if pa.types.is_dictionary(texts.type):
        words = null_markers(texts.dictionary, missing)
        return pa.DictionaryArray.from_arrays(texts.indices, words)
    marked = pc.is_in(texts, value_set=text_array(list(missing)).cast(texts.type))
    return _null_where(marked, texts) if pc.any(marked).as_py() else texts


def read_numbers(texts: Any, csv: CsvFormat = DEFAULT_CSV) -> Any:
    """Finite decimal numbers, such as `-1.5e3`, as float64."""
    numbers = _cast(_plain_numbers(texts, csv), pa.float64(), _NUMBER)
    infinite = pc.invert(pc.is_finite(numbers))
    return _null_where(infinite, numbers) if pc.any(infinite).as_py() else numbers


def read_integers(texts: Any, csv: CsvFormat = DEFAULT_CSV) -> Any:
    """Whole numbers of 64 bits, such as `-12`, `12.0` and `1.2e1`, as int64."""
    texts = _plain_numbers(texts, csv)
    hexadecimal = pc.or_(pc.starts_with(texts, "0x"), pc.starts_with(texts, "0X"))  # to Arrow
    if pc.any(hexadecimal).as_py():
        texts = _null_where(hexadecimal, texts)
    return _read_rest(texts, _cast(texts, pa.int64(), _SHORT_INTEGER), _read_integer)


def _plain_numbers(texts: Any, csv: CsvFormat) -> Any:
    """The numbers as JSON would write them, null where a cell is none in this format."""
    if csv.writes_plain_numbers:
        return texts
    other = pc.invert(pc.match_substring_regex(texts, csv.number_pattern))
    if pc.any(other).as_py():
        texts = _null_where(other, texts)
    if csv.thousands_pattern is not None:
        texts = pc.replace_substring_regex(texts, csv.thousands_pattern, "")
    return pc.replace_substring(texts, csv.decimal, ".")


def read_booleans(texts: Any) -> Any:
    """`true`, `t`, `yes`, `y`, `on`, `1` and `1.0`, or their opposites, in lower or upper case, as booleans."""
    words = text_array(list(_BOOLEANS)).cast(texts.type)
    codes = pc.index_in(pc.utf8_lower(texts), value_set=words)
    return mask_array(np.array(list(_BOOLEANS.values()))).take(codes)


def read_dates(texts: Any) -> Any:
    """Dates of the form YYYY-MM-DD, or midnight of one, of the years 1 to 9999, as date32."""
    dates = _read_rest(texts, _cast(texts, pa.date32(), _DATE_OF_ANY_MONTH), _read_date)
    year_0 = to_numpy(dates) < _YEAR_1
    return _null_where(mask_array(year_0), dates) if year_0.any() else dates


def read_times(texts: Any) -> Any:
    """Times in ISO 8601 with seconds and an offset from UTC, as timestamps in UTC, in microseconds."""
    return _cast_form(texts, pa.timestamp("us", "UTC"), _ZONED_TIME)


def read_utc_times(texts: Any) -> Any:
    """The same, and times without an offset, which are of UTC."""
    naive = _cast_form(texts, pa.timestamp("us"), f"{_TIME}$")
    return pc.coalesce(read_times(texts), naive.view(pa.timestamp("us", "UTC")))


def _cast(texts: Any, kind: Any, form: str) -> Any:
    """The column as a type at once, else the cells of a form that Arrow certainly parses."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return _cast_form(texts, kind, form)


def _cast_form(texts: Any, kind: Any, form: str) -> Any:
    """The cells of a form that Arrow certainly parses, null where one has another."""
    other = pc.invert(pc.match_substring_regex(texts, form))
    return _null_where(other, texts).cast(kind)


def _read_rest(texts: Any, values: Any, read: Callable[[str], int | None]) -> Any:
    """`values`, with those cells parsed too that Arrow left: each distinct text once."""
    rest = pc.and_(pc.is_valid(texts), pc.is_null(values))
    if not pc.any(rest).as_py():
        return values
    encoded = texts.filter(rest).dictionary_encode()
    numbers = [read(text) for text in encoded.dictionary.to_pylist()]
    dense = np.array([number or 0 for number in numbers], f"i{values.type.bit_width // 8}")
    none = mask_array(np.array([number is None for number in numbers]))
    parsed = _null_where(none, number_array(dense).cast(values.type))
    return pc.replace_with_mask(values, rest, parsed.take(encoded.indices))


def _read_integer(text: str) -> int | None:
    text = plain_integer(text) if _NUMBER_TEXT.fullmatch(text) else text
    value = int(text) if _INTEGER.fullmatch(text) else None
    return value if value is not None and -(1 << 63) <= value < 1 << 63 else None


def _read_date(text: str) -> int | None:
    """Days since 1970."""
    try:
        return (date.fromisoformat(text[:10]) - EPOCH).days if _DATE.fullmatch(text) else None
    except ValueError:  # such as the 30th of February
        return None


def _null_where(mask: Any, array: Any) -> Any:
    null = pa.nulls(1, array.type)[0]  # `pa.scalar` and `pa.array` would import pandas
    return pc.if_else(mask, null, array)
