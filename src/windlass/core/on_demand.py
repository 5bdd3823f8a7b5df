"""On-demand features: computed at the moment of the request, from stored columns or from recent events.

`features/offline/training_set` and `features/offline/windows` compute the same for tables.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

# of a request, or of an event: a day where a view's timestamp is a date, else a time in UTC
PointInTime = date | datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
MAX_WINDOW_DAYS = 3660
_INT64 = range(-(2**63), 2**63)


def as_number(time: PointInTime) -> int:
    """Returns a day as its ordinal, and a time as microseconds since 1970."""
    if isinstance(time, datetime):
        return (in_utc(time) - _EPOCH) // _MICROSECOND
    return time.toordinal()


def from_microseconds(number: int) -> datetime:
    """Returns the time of so many microseconds since 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=number)


def in_utc(time: datetime) -> datetime:
    """Returns a time in UTC; one without a zone is in UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def day_of(time: PointInTime) -> date:
    """Returns the day of a moment, in UTC."""
    return in_utc(time).date() if isinstance(time, datetime) else time


def format_time(time: PointInTime) -> str:
    """Returns a day or a time in ISO 8601; a time in UTC, with a Z."""
    if isinstance(time, datetime):
        return in_utc(time).isoformat().replace("+00:00", "Z")
    return time.isoformat()


class RecentEvents(NamedTuple):
    """Events of an entity in their order, for features of windows.

    `times` are numbers as `as_number` returns them, ascending; `values` has a list for each summed column.
    """

    times: Sequence[int] = ()
    values: Mapping[str, Sequence[Any]] = {}


NO_EVENTS = RecentEvents()


class _SinceColumn(BaseModel):
    """Feature of the time since a date, or a date with a time of day, in a stored column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str


class YearsSince(_SinceColumn):
    """On-demand feature: completed years since the date in the stored column `column`, at request time.

    The feature is null if the date is missing or in the future. A year is complete on the same day of the same
    month; for 29 February, on 1 March in a year without that day.
    """

    kind: Literal["years_since"] = "years_since"

    def __init__(self, column: str, **more: Any) -> None:
        super().__init__(column=column, **more)

    def value_on(self, request_time: PointInTime, stored: Mapping[str, Any]) -> int | None:
        """Computes the feature at a moment from the stored columns."""
        value = stored[self.column]
        if value is None:
            return None
        since, day = day_of(value), day_of(request_time)
        if since > day:
            return None
        return day.year - since.year - ((day.month, day.day) < (since.month, since.day))


class DaysSince(_SinceColumn):
    """On-demand feature: completed days since the stored column `column`, at request time.

    From one time of day to another these are periods of 24 hours; where the column or the view's timestamp is a date,
    calendar days in UTC. The feature is null if the date is missing or in the future.
    """

    kind: Literal["days_since"] = "days_since"

    def __init__(self, column: str, **more: Any) -> None:
        super().__init__(column=column, **more)

    def value_on(self, request_time: PointInTime, stored: Mapping[str, Any]) -> int | None:
        """Computes the feature at a moment from the stored columns."""
        return _completed(_DAY, request_time, stored[self.column])


class HoursSince(_SinceColumn):
    """On-demand feature: completed hours since the time in the stored column `column`, at request time.

    The column and the view's timestamp have a time of day. The feature is null if the time is missing or in the
    future.
    """

    kind: Literal["hours_since"] = "hours_since"

    def __init__(self, column: str, **more: Any) -> None:
        super().__init__(column=column, **more)

    def value_on(self, request_time: PointInTime, stored: Mapping[str, Any]) -> int | None:
        """Computes the feature at a moment from the stored columns."""
        return _completed(_HOUR, request_time, stored[self.column])


def _completed(period: timedelta, request_time: PointInTime, since: Any) -> int | None:
    if since is None:
        return None
    if isinstance(request_time, datetime) and isinstance(since, datetime):
        elapsed = in_utc(request_time) - in_utc(since)
    else:
        elapsed = day_of(request_time) - day_of(since)
    return None if elapsed < timedelta(0) else elapsed // period


class _Within(BaseModel):
    """Feature of the events of the last `days`, or `hours`, before the moment of the request.

    An event counts if less than that time has passed since it: of the last 7 days, today is one, and the day 7 days
    ago is none. The event that the features are for does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int | None = Field(default=None, ge=1, le=MAX_WINDOW_DAYS)
    hours: int | None = Field(default=None, ge=1, le=24 * MAX_WINDOW_DAYS)

    @model_validator(mode="after")
    def _check_window(self) -> "_Within":
        if (self.days is None) == (self.hours is None):
            raise ValueError("a window has days or hours, such as days=30")
        return self

    @property
    def length(self) -> timedelta:
        """The length of the window."""
        return timedelta(days=self.days or 0, hours=self.hours or 0)

    def bounds(self, request_time: PointInTime, times: Sequence[int]) -> tuple[int, int]:
        """Returns the positions of the first event in the window, and after the last."""
        at = as_number(request_time)
        length = self.length // (_MICROSECOND if isinstance(request_time, datetime) else _DAY)
        return bisect_right(times, at - length), bisect_right(times, at)


class CountWithin(_Within):
    """On-demand feature: the number of events of the last `days`, or `hours`, before the request.

    See `SumWithin` for which events count.
    """

    kind: Literal["count_within"] = "count_within"

    def value_within(self, request_time: PointInTime, recent: RecentEvents) -> int:
        """Counts the events in the window."""
        start, stop = self.bounds(request_time, recent.times)
        return max(0, stop - start)


class SumWithin(_Within):
    """On-demand feature: the sum of the events' column `column`, over the last `days`, or `hours`, before the request.

    An event counts if less than that time has passed since it: of the last 7 days, today is one, and the day 7 days
    ago is none. The event that the features are for does not count. Missing values add nothing. The sum of floats is
    exact, rounded once; a sum beyond 64 bits is null.
    """

    kind: Literal["sum_within"] = "sum_within"
    column: str

    def __init__(self, column: str, **more: Any) -> None:
        BaseModel.__init__(self, column=column, **more)

    def value_within(self, request_time: PointInTime, recent: RecentEvents) -> float | None:
        """Adds the values of the events in the window."""
        start, stop = self.bounds(request_time, recent.times)
        values = recent.values[self.column][start:stop] if stop > start else ()
        return exact_sum([value for value in values if value is not None])


def exact_sum(values: Sequence[float]) -> float | None:
    """Returns the sum of integers, or of floats rounded once; None where 64 bits do not hold it."""
    if all(isinstance(value, int) for value in values):
        total = sum(values)
        return total if total in _INT64 else None
    try:
        return math.fsum(values) + 0.0  # no negative zero
    except OverflowError:
        return None


SinceFeature = YearsSince | DaysSince | HoursSince
WindowFeature = CountWithin | SumWithin
OnDemandFeature = Annotated[SinceFeature | WindowFeature, Field(discriminator="kind")]
