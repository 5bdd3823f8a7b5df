"""Features of windows for tables: counts and sums of an entity's events before each of many moments.

`core/on_demand` computes the same for one entity from its recent events; both are exact, so they are equal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import polars as pl

from windlass.core.feature_view import ViewRecord
from windlass.core.on_demand import SumWithin
from windlass.errors import FeatureError, counted
from windlass.features.offline.parts import is_first_row
from windlass.features.offline.snapshot import RECENT_EVENTS

Positions = npt.NDArray[np.int64]
MAX_RECENT_EVENTS = 100_000  # of one entity in the longest window
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class EventsBefore:
    """Moments [m], and which of the events [n], sorted by entity, timestamp and event id, come before each.

    Those of the moment's entity are at the positions from `start` to before `stop`. `at` are days or times, as the
    events' timestamps are.
    """

    events: pl.DataFrame
    at: pl.Series
    start: Positions
    stop: Positions

    @staticmethod
    def of_events(record: ViewRecord, events: pl.DataFrame) -> "EventsBefore":
        """Returns the moments of the events themselves."""
        start = first_positions(record, events)
        stop = np.arange(events.height, dtype=np.int64)
        return EventsBefore(events, events[record.timestamp], start, stop)


def first_positions(record: ViewRecord, events: pl.DataFrame) -> Positions:
    """Returns the position of the first event of each event's entity, int64 [n]; events are sorted by entity."""
    first = is_first_row(events, record.entity_columns).to_numpy()
    positions = np.where(first, np.arange(events.height, dtype=np.int64), 0)
    return np.maximum.accumulate(positions) if len(positions) else positions


def window_features(record: ViewRecord, before: EventsBefore) -> list[pl.Series]:
    """Returns the features of windows [m] of a view at these moments, from the events before each."""
    times = _numbers(before.events[record.timestamp])
    at = _numbers(before.at)
    sums = {name: _RunningSum.of_column(before.events[name]) for name in record.summed_columns}
    columns = []
    for name, feature in record.window_features.items():
        unit = timedelta(microseconds=1) if before.at.dtype == pl.Datetime else timedelta(days=1)
        length = feature.length // unit
        start = _first_after(times, before.start, before.stop, at - length)
        if isinstance(feature, SumWithin):
            columns.append(sums[feature.column].between(start, before.stop).alias(name))
        else:
            columns.append(pl.Series(name, before.stop - start))
    return columns


def recent_events(record: ViewRecord, events: pl.DataFrame) -> pl.Series | None:
    """Returns for each entity [k], in order, its events in the longest window before its latest one, that included.

    They are a list of structs with the timestamp and the summed columns; None where the view has no features of
    windows. Raises FeatureError for an entity with too many.
    """
    longest = record.longest_window
    if longest is None:
        return None
    entity = list(record.entity_columns)
    last = pl.col(record.timestamp).last().over(entity)
    recent = events.filter(last - pl.col(record.timestamp) < longest)
    values = pl.struct(record.timestamp, *record.summed_columns)
    lists = recent.group_by(entity, maintain_order=True).agg(values.alias(RECENT_EVENTS))
    most = lists[RECENT_EVENTS].list.len().max()
    if isinstance(most, int) and most > MAX_RECENT_EVENTS:
        row = lists.row(int(lists[RECENT_EVENTS].list.len().arg_max() or 0), named=True)
        named = ", ".join(f"{name} {row[name]}" for name in entity)
        raise FeatureError(
            f"{named} has {counted(most, 'event')} within {longest.days} days, more than the"
            f" {MAX_RECENT_EVENTS:,} that the online store keeps for windows of view {record.name}."
            " Declare shorter windows."
        )
    return lists[RECENT_EVENTS]


def _numbers(moments: pl.Series) -> Positions:
    numbers: Positions = moments.to_physical().cast(pl.Int64).to_numpy()
    return numbers


def _first_after(
    times: Positions, start: Positions, stop: Positions, limit: Positions
) -> Positions:
    """Returns the first position from `start` to `stop` whose time is after the limit; times ascend between them."""
    low, high = start.copy(), stop.copy()
    while (low < high).any():
        middle = (low + high) // 2
        after = times[np.minimum(middle, len(times) - 1)] > limit
        open_ = low < high
        high = np.where(open_ & after, middle, high)
        low = np.where(open_ & ~after, middle + 1, low)
    return low


@dataclass(frozen=True)
class _RunningSum:
    """Sums of a column from the first row, exact: integers, to be divided by `denominator`."""

    totals: list[int]
    denominator: int
    dtype: type[pl.DataType]

    @staticmethod
    def of_column(column: pl.Series) -> "_RunningSum":
        """Adds up a column of integers, booleans or finite floats; null adds nothing."""
        if not column.dtype.is_float():
            values = column.cast(pl.Int64).fill_null(0).to_list()
            return _RunningSum([0, *accumulate(values)], 1, pl.Int64)
        ratios = [value.as_integer_ratio() for value in column.cast(pl.Float64).fill_null(0.0)]
        denominator = max((ratio[1] for ratio in ratios), default=1)  # all are powers of two
        scaled = (numerator * (denominator // own) for numerator, own in ratios)
        return _RunningSum([0, *accumulate(scaled)], denominator, pl.Float64)

    def between(self, start: Positions, stop: Positions) -> pl.Series:
        """Returns the sums of the rows from `start` to before `stop` [m]; null beyond 64 bits."""
        pairs = zip(start.tolist(), stop.tolist(), strict=True)
        return pl.Series(list(self._differences(pairs)), dtype=self.dtype)

    def _differences(self, pairs: Iterable[tuple[int, int]]) -> Iterator[float | None]:
        totals, denominator = self.totals, self.denominator
        for start, stop in pairs:
            difference = totals[stop] - totals[start]
            if self.dtype == pl.Float64:
                try:
                    yield difference / denominator  # correctly rounded
                except OverflowError:
                    yield None
            else:
                yield difference if difference in _INT64 else None


def check_window_columns(
    record: ViewRecord, dtypes: Mapping[str, pl.DataType], *, has_times: bool
) -> None:
    """Raise FeatureError for on-demand features that cannot be computed from events of these types."""
    for name in record.summed_columns:
        kind = dtypes.get(name)
        if kind is None or not (kind.is_integer() or kind.is_float() or kind == pl.Boolean):
            have = "which it does not have" if kind is None else f"which is of type {kind}"
            raise FeatureError(
                f"View {record.name} adds the column {name}, {have} in the contract. Name a column of numbers."
            )
    needs_times = [
        name
        for name, feature in record.at_request.items()
        if feature.kind == "hours_since" or getattr(feature, "hours", None) is not None
    ]
    if needs_times and not has_times:
        raise FeatureError(
            f"Feature {needs_times[0]} of view {record.name} needs hours, and {record.timestamp} is a date."
            " Use days, or declare the column as pl.Datetime in the contract."
        )
