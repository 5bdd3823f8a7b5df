"""The format of CSV that a row declares, and how it writes numbers."""

import codecs
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

from windlass.errors import ProjectError

SPACES = " \t"  # around a number, a boolean or a date, and no part of it
_DIGITS = r"[0-9]"
_MAX_EXPONENT = 40  # a larger integer is out of every range
_NO_DELIMITERS = re.compile(r'[A-Za-z0-9"\r\n\0+.-]')
_THOUSANDS = {" ": "[ \u00a0\u202f]", ".": "[.]", ",": ",", "'": "['\u2019]", "_": "_"}


@dataclass(frozen=True, kw_only=True)
class CsvFormat:
    """The format of CSV files of a row: `class Customer(Row, csv=CsvFormat(delimiter=";", decimal=","))`.

    `delimiter` separates the cells of a line: one ASCII character. `decimal` is the decimal mark, "." or ",".
    `thousands` may stand between groups of three digits: " ", ".", ",", "'" or "_"; None allows no groups. `encoding`
    is the name of a text encoding that Python knows, such as "utf-8" or "cp1252". A cell may be in double quotes.
    Raises ProjectError for a format that cannot be read in one way only.
    """

    delimiter: str = ","
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or not self.delimiter.isascii():
            raise ProjectError(
                f"CsvFormat(delimiter={self.delimiter!r}) is not one ASCII character. Use one, such as ',', ';' or tab."
            )
        if _NO_DELIMITERS.fullmatch(self.delimiter):
            raise ProjectError(
                f"CsvFormat(delimiter={self.delimiter!r}) may be part of a cell. Use another, such as ',', ';' or tab."
            )
        if self.decimal not in (".", ","):
            raise ProjectError(f"CsvFormat(decimal={self.decimal!r}) is neither '.' nor ','.")
        if self.thousands is not None and self.thousands not in _THOUSANDS:
            choices = ", ".join(map(repr, _THOUSANDS))
            raise ProjectError(
                f"CsvFormat(thousands={self.thousands!r}) is not one of {choices} or None."
            )
        if self.thousands == self.decimal:
            raise ProjectError(
                f"CsvFormat has {self.decimal!r} as decimal and as thousands. One of both has to be another."
            )
        object.__setattr__(self, "encoding", _encoding_name(self.encoding))

    @property
    def writes_plain_numbers(self) -> bool:
        """Whether numbers are written as in JSON: with a point, and without groups."""
        return self.decimal == "." and self.thousands is None

    @cached_property
    def number_pattern(self) -> str:
        """A regular expression of all numbers, in the syntax that Python and Arrow share."""
        digits = f"{_DIGITS}+"
        if self.thousands is not None:
            digits = (
                f"(?:{_DIGITS}+|{_DIGITS}{{1,3}}(?:{_THOUSANDS[self.thousands]}{_DIGITS}{{3}})+)"
            )
        mark = "[.]" if self.decimal == "." else ","
        return f"^[+-]?(?:{digits}(?:{mark}{_DIGITS}*)?|{mark}{_DIGITS}+)(?:[eE][+-]?{_DIGITS}+)?$"

    @property
    def thousands_pattern(self) -> str | None:
        """A regular expression of the marks between groups of digits; None where there are no groups."""
        return None if self.thousands is None else _THOUSANDS[self.thousands]

    def plain_number(self, text: str) -> str:
        """Returns a number as JSON would write it, but for leading zeros and a plus; "" where it is another text."""
        text = text.strip(SPACES)
        if not re.fullmatch(self.number_pattern[1:-1], text):
            return ""
        if self.thousands_pattern is not None:
            text = re.sub(self.thousands_pattern, "", text)
        return text.replace(self.decimal, ".")


def plain_integer(number: str) -> str:
    """Returns a plain number without decimals and exponent where it is whole, `100` for `1e2`; others as they are."""
    if not number or not {".", "e", "E"} & set(number):
        return number
    try:
        value = Decimal(number)
    except InvalidOperation:  # of an exponent that no number has
        return number
    if value.adjusted() > _MAX_EXPONENT or value != value.to_integral_value():
        return number
    return str(int(value))


def _encoding_name(encoding: str) -> str:
    """Returns the standard name of a text encoding. Raises ProjectError where Python knows none of that name."""
    try:
        "".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, TypeError, ValueError):
        raise ProjectError(
            f"CsvFormat(encoding={encoding!r}) is not a text encoding. Use one that Python knows, such as 'utf-8',"
            " 'cp1252' or 'utf-16'."
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


DEFAULT_CSV = CsvFormat()
