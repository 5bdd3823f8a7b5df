"""Reads the features of an entity for today from an online store.

All that a server needs to read features; pyarrow and the code that computes features are not imported here.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from math import ceil
from operator import itemgetter
from typing import Any, NamedTuple

from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.errors import FeatureError
from windlass.features.online.row_format import (
    BEFORE_PREFIX,
    NO_BEFORE_EVENT,
    SNAPSHOT_BITS,
    RowLayout,
    StoredRow,
)
from windlass.features.online.store import OnlineStore

FRESHNESS_INTERVAL = 1.0  # seconds between two looks at the store's freshness

# picks a row's cells in the order of the features; functions for those that need decoding
Plan = tuple[Callable[[list[Any]], tuple[Any, ...]], list[tuple[str, Callable[[Any], Any]]]]


class Features(NamedTuple):
    """Features of one entity, on the day of the request, in the order of the view.

    `as_of` is the day of the latest event, `computed_at` when the stored features were computed (epoch seconds).
    `stale` is true where the store was not materialised for longer than the view's `max_age`; `view` is the version
    of the view that computed them.
    """

    entity: int
    values: dict[str, Any]
    as_of: date
    computed_at: float
    stale: bool
    view: str


def today_utc() -> date:
    """Returns today's date in UTC."""
    return datetime.now(UTC).date()


class FeatureReader:
    """Reads features of entities from an online store; safe to share between threads, as its store is.

    `at` says which event they are for: the "latest", or the "next"; by default what the view serves. They are
    the features before that event: those before the latest event leave it out, those before the next count it.
    Where the latest event is older than the view's `ttl`, every feature is null.
    """

    def __init__(
        self,
        record: ViewRecord,
        store: OnlineStore,
        today: Callable[[], date] = today_utc,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._record = record
        self._store = store
        self._today = today
        self._clock = clock
        day = today()
        self._decoders = {at: _DayDecoder(record, day, at) for at in SERVED_EVENTS}
        self._next_check = float("-inf")
        self._stale_from = float("-inf")  # epoch seconds

    def get(self, entity: int, at: ServedEvent | None = None) -> Features | None:
        """Returns the features of an entity; None for one that is unknown.

        Raises FeatureError for anything but a 64-bit integer, and for `at="latest"` where an earlier version of
        Windlass wrote the row; StorageError where the store fails.
        """
        stored = self._store.read(entity)
        if stored is None:
            return None
        return self._decoder(at).features((entity,), (stored,), self._stale())[0]

    def get_many(
        self, entities: Sequence[int], at: ServedEvent | None = None
    ) -> list[Features | None]:
        """Returns the features of each of these entities, in their order, all of one day. Raises as `get`."""
        stored = self._store.read_many(entities)
        return self._decoder(at).features(entities, stored, self._stale())

    def _decoder(self, at: ServedEvent | None) -> "_DayDecoder":
        event, day = at or self._record.serves, self._today()
        decoder = self._decoders[event]
        if decoder.date != day:
            decoder = self._decoders[event] = _DayDecoder(self._record, day, event)
        return decoder

    def _stale(self) -> bool:
        max_age = self._record.max_age_seconds
        if max_age is None:
            return False
        now = self._clock()
        if not self._next_check - FRESHNESS_INTERVAL <= now < self._next_check:
            freshness = self._store.freshness()
            materialised_at = float("-inf") if freshness is None else freshness.materialised_at
            self._stale_from = materialised_at + max_age
            self._next_check = now + FRESHNESS_INTERVAL
        return now > self._stale_from


class _DayDecoder:
    """Computes `ViewRecord.features_on` for one day, for rows of any layout, and caches what it computed."""

    def __init__(self, record: ViewRecord, day: date, at: ServedEvent) -> None:
        self.date = day
        self._record = record
        self._prefix = BEFORE_PREFIX if at == "latest" else ""
        oldest = 0 if record.ttl_days is None else ceil(day.toordinal() - record.ttl_days)
        self._oldest = max(oldest, 0) << SNAPSHOT_BITS  # as a rank
        self._names = record.features
        self._plans: dict[int, Plan] = {}

    def features(
        self, entities: Sequence[int], stored: Sequence[StoredRow | None], stale: bool
    ) -> list[Features | None]:
        """Returns the features of entities on this day. Columns that an older version did not store are null."""
        names, oldest, day, plans = self._names, self._oldest, date.fromordinal, self._plans
        features: list[Features | None] = []
        for entity, state in zip(entities, stored, strict=True):
            if state is None:
                features.append(None)
                continue
            row, layout = state
            rank = row[0]
            if rank < oldest:
                values: dict[str, Any] = dict.fromkeys(names)
            else:
                pick, decoded = plans.get(row[1]) or self._plan(layout)
                values = dict(zip(names, pick(row)))  # noqa: B905 - the check costs a tenth of a read
                for name, decode in decoded:
                    values[name] = decode(values[name])
            as_of = day(rank >> SNAPSHOT_BITS)
            features.append(Features(entity, values, as_of, row[2], stale, layout.view))
        return features

    def _plan(self, layout: RowLayout) -> "Plan":
        """Plans how rows of a layout are decoded: where each feature is, and which need a function."""
        if self._prefix and not layout.has_before_event():
            raise FeatureError(NO_BEFORE_EVENT.format(view=self._record.name))
        on_demand = self._record.at_request
        columns = [
            self._prefix + (on_demand[name].column if name in on_demand else name)
            for name in self._names
        ]
        positions = [layout.position(column) for column in columns]
        picked = [0 if position is None else position for position in positions]
        functions = [
            (name, self._decode_function(layout, name, column, position))
            for name, column, position in zip(self._names, columns, positions, strict=True)
            if name in on_demand or column in layout.dates or position is None
        ]
        pick = itemgetter(*picked, 0)  # of at least two it makes a tuple
        plan = self._plans[layout.number] = pick, functions
        return plan

    def _decode_function(
        self, layout: RowLayout, name: str, column: str, position: int | None
    ) -> Callable[[Any], Any]:
        on_demand, day = self._record.at_request.get(name), self.date

        @cache  # one entry for each different cell
        def decode(cell: Any) -> Any:
            value = None if position is None else layout.value(column, cell)
            return (
                value if on_demand is None else on_demand.value_on(day, {on_demand.column: value})
            )

        return decode
