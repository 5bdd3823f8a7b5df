"""Times of rows: ISO 8601 with an offset from UTC, or of UTC where the row says so; float64 seconds for the model.

A time is precise to the microsecond. Seconds are computed from whole microseconds in one way everywhere, so that every
reader gives the model the same number.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND = 1_000_000  # microseconds
EPOCH_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NOT_A_TIME = "Input should be a time in ISO 8601, such as 2026-11-20T08:30:00Z"
NO_OFFSET = (
    "Input should have an offset from UTC, such as 2026-11-20T08:30:00Z or 2026-11-20T09:30:00+01:00;"
    " a time without one is read only where the row declares utc=True"
)
TOO_PRECISE = "Input should be precise to the microsecond at most: round it"
OUTSIDE_CALENDAR = "Input should be a time of the years 1 to 9999 in UTC"

_FORM = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,6}([0-9]*))?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def parse_time(text: str, *, utc: bool) -> datetime:
    """Parses a time as text, and returns it in UTC.

    With `utc`, a time without an offset is of UTC, and a day is its midnight. Raises ValueError, whose message is for
    whoever sent the text.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(NOT_A_TIME)
    if (match[1] or "").strip("0"):
        raise ValueError(TOO_PRECISE)
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(NOT_A_TIME) from None
    return to_utc(value, utc=utc)


def to_utc(value: date, *, utc: bool) -> datetime:
    """Returns a time, or the midnight of a day, in UTC.

    Raises ValueError where it has no offset, unless `utc`.
    """
    timestamp = value if isinstance(value, datetime) else datetime.combine(value, time())
    if timestamp.tzinfo is None:
        if not utc:
            raise ValueError(NO_OFFSET)
        return timestamp.replace(tzinfo=UTC)
    try:
        return timestamp.astimezone(UTC)
    except OverflowError:
        raise ValueError(OUTSIDE_CALENDAR) from None


def to_microseconds(value: datetime) -> int:
    """Returns a time as microseconds since 1970."""
    return (value - EPOCH_TIME) // _MICROSECOND


MIN_MICROSECONDS = to_microseconds(datetime.min.replace(tzinfo=UTC))
MAX_MICROSECONDS = to_microseconds(datetime.max.replace(tzinfo=UTC))


def to_seconds(value: datetime) -> float:
    """Returns a time as seconds since 1970, the float64 that the model sees."""
    whole, rest = divmod(to_microseconds(value), SECOND)
    return whole + rest / SECOND


def seconds_from_microseconds(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns seconds since 1970 of microseconds [n], as `to_seconds` does."""
    whole, rest = np.divmod(values, SECOND)
    seconds: NDArray[np.float64] = whole.astype(np.float64) + rest / SECOND
    return seconds


def microseconds_from_seconds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the microseconds since 1970 that are nearest to seconds [n]: those that they were made from.

    From the year 2242 float64 no longer distinguishes microseconds; the result gives the same float64 again.
    """
    whole = np.floor(values)
    rest = np.rint((values - whole) * SECOND)
    microseconds: NDArray[np.int64] = whole.astype(np.int64) * SECOND + rest.astype(np.int64)
    return np.clip(microseconds, MIN_MICROSECONDS, MAX_MICROSECONDS)


def from_seconds(value: float) -> datetime:
    """Returns the time in UTC of seconds since 1970; the inverse of `to_seconds`, as exact as float64 is."""
    whole = floor(value)
    microseconds = whole * SECOND + round((value - whole) * SECOND)
    bounded = min(max(microseconds, MIN_MICROSECONDS), MAX_MICROSECONDS)
    return EPOCH_TIME + timedelta(microseconds=bounded)


def format_time(value: Any) -> str:
    """Returns a time in UTC as error messages have it, such as `2026-11-20T08:30:00Z`."""
    text: str = value.isoformat()
    return text.removesuffix("+00:00") + "Z"
