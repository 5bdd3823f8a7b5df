"""Reads the features of an entity at the moment of a request from an online store.

All that a server needs to read features; pyarrow and the code that computes features are not imported here.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from math import ceil
from operator import itemgetter
from typing import Any, NamedTuple

from windlass.core.entity_ids import EntityId, entity_key
from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.core.on_demand import PointInTime, RecentEvents, SumWithin, from_microseconds, in_utc
from windlass.errors import FeatureError
from windlass.features.online.row_format import (
    AS_OF,
    BEFORE_PREFIX,
    NO_BEFORE_EVENT,
    RECENT_PREFIX,
    SNAPSHOT_BITS,
    RowLayout,
    StoredRow,
)
from windlass.features.online.store import OnlineStore

_MAX_TTL_DAYS = 4_000_000  # more than there are from the year 1 to 9999
FRESHNESS_INTERVAL = 1.0  # seconds between two looks at the store's freshness


class _Plan(NamedTuple):
    """How the rows of a layout are decoded.

    `pick` picks a row's cells in the order of the features; `decoded` are functions of those cells that need it, and
    `timed` functions of the whole row and the moment of the request. `as_of` is the position of the latest event's time
    where it has a time of day, else 0.
    """

    pick: Callable[[list[Any]], tuple[Any, ...]]
    decoded: list[tuple[str, Callable[[Any], Any]]]
    timed: list[tuple[str, Callable[[list[Any], PointInTime], Any]]]
    as_of: int


class Features(NamedTuple):
    """Features of one entity at the moment of the request, in the order of the view.

    `as_of` is the day of the latest event, or its time in UTC where it has a time of day; `computed_at` when the
    stored features were computed (epoch seconds).
    `stale` is true where the store was not materialised for longer than the view's `max_age`; `view` is the version
    of the view that computed them.
    """

    entity: EntityId
    values: dict[str, Any]
    as_of: date | datetime
    computed_at: float
    stale: bool
    view: str


def now_utc() -> datetime:
    """Returns the time now in UTC."""
    return datetime.now(UTC)


def today_utc() -> date:
    """Returns today's date in UTC."""
    return datetime.now(UTC).date()


class FeatureReader:
    """Reads features of entities from an online store; safe to share between threads, as its store is.

    `at` says which event they are for: the "latest", or the "next"; by default what the view serves. They are
    the features before that event: those before the latest event leave it out, those before the next count it.
    Where the latest event is older than the view's `ttl`, every feature is null.

    On-demand features are those of `today` where the view's timestamp is a date, and of `now` where it has a time of
    day.
    """

    def __init__(
        self,
        record: ViewRecord,
        store: OnlineStore,
        today: Callable[[], date] = today_utc,
        clock: Callable[[], float] = time.time,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        self._record = record
        self._store = store
        self._today = today
        self._now = now
        self._clock = clock
        day = today()
        self._decoders = {at: _DayDecoder(record, day, at) for at in SERVED_EVENTS}
        self._next_check = float("-inf")
        self._stale_from = float("-inf")  # epoch seconds

    def get(self, entity: EntityId, at: ServedEvent | None = None) -> Features | None:
        """Returns the features of an entity; None for one that is unknown.

        An entity of several columns is a tuple in the order of the view's columns. Raises IdError for an id of another
        type than the stored ones, FeatureError for `at="latest"` where an earlier version of Windlass wrote the row;
        StorageError where the store fails.
        """
        if type(entity) is int:
            stored = self._store.read(entity)
        else:
            entity = self._store.check(entity)
            stored = self._store.find(entity_key(entity))
        if stored is None:
            return None
        return self._decoder(at).features((entity,), (stored,), self._stale(), self._now)[0]

    def get_many(
        self, entities: Sequence[EntityId], at: ServedEvent | None = None
    ) -> list[Features | None]:
        """Returns the features of each of these entities, in their order, all of one moment. Raises as `get`."""
        if all(type(entity) is int for entity in entities):
            stored = self._store.read_many(entities)
        else:
            entities = self._store.check_many(entities)
            stored = self._store.find_many([entity_key(entity) for entity in entities])
        return self._decoder(at).features(entities, stored, self._stale(), self._now)

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
    """Computes `ViewRecord.features_on` for rows of any layout, and caches what it computed for its day."""

    def __init__(self, record: ViewRecord, day: date, at: ServedEvent) -> None:
        self.date = day
        self._record = record
        self._prefix = BEFORE_PREFIX if at == "latest" else ""
        oldest = 0 if record.ttl_days is None else ceil(day.toordinal() - record.ttl_days)
        self._oldest = max(oldest, 0) << SNAPSHOT_BITS  # as a rank
        ttl = record.ttl_days
        self._ttl = None if ttl is None else timedelta(days=min(ttl, _MAX_TTL_DAYS))
        self._names = record.features
        self._plans: dict[int, _Plan] = {}

    def features(
        self,
        entities: Sequence[EntityId],
        stored: Sequence[StoredRow | None],
        stale: bool,
        clock: Callable[[], datetime],
    ) -> list[Features | None]:
        """Returns the features of entities at the moment of the request.

        That is this day, or the time of `clock` for rows of events with a time of day. Columns that an older version
        did not store are null.
        """
        names, oldest, day, plans = self._names, self._oldest, date.fromordinal, self._plans
        features: list[Features | None] = []
        now: datetime | None = None
        for entity, state in zip(entities, stored, strict=True):
            if state is None:
                features.append(None)
                continue
            row, layout = state
            rank = row[0]
            pick, decoded, timed, position = plans.get(row[1]) or self._plan(layout)
            request_time: PointInTime
            as_of: PointInTime
            if position:
                request_time = now = now or in_utc(clock())
                as_of = from_microseconds(row[position])
                expired = self._ttl is not None and now - as_of > self._ttl
            else:
                request_time, as_of, expired = self.date, day(rank >> SNAPSHOT_BITS), rank < oldest
            if expired:
                values: dict[str, Any] = dict.fromkeys(names)
            else:
                values = dict(zip(names, pick(row)))  # noqa: B905 - the check costs a tenth of a read
                for name, decode in decoded:
                    values[name] = decode(values[name])
                for name, compute in timed:
                    values[name] = compute(row, request_time)
            features.append(Features(entity, values, as_of, row[2], stale, layout.view))
        return features

    def _plan(self, layout: RowLayout) -> _Plan:
        """Plans how rows of a layout are decoded: where each feature is, and which need a function."""
        if self._prefix and not layout.has_before_event():
            raise FeatureError(NO_BEFORE_EVENT.format(view=self._record.name))
        as_of = layout.position(AS_OF) or 0
        windows, since = self._record.window_features, self._record.since_features
        columns = [
            self._prefix + (since[name].column if name in since else name) for name in self._names
        ]
        positions = [layout.position(column) for column in columns]
        picked = [0 if position is None else position for position in positions]
        decoded: list[tuple[str, Callable[[Any], Any]]] = []
        timed: list[tuple[str, Callable[[list[Any], PointInTime], Any]]] = []
        for name, column, position in zip(self._names, columns, positions, strict=True):
            if name in windows:
                timed.append((name, self._window_function(layout, name)))
            elif name in since and as_of:
                timed.append((name, self._since_function(layout, name, column, position)))
            elif name in since or column in layout.dates or position is None:
                decoded.append((name, self._decode_function(layout, name, column, position)))
            elif column in layout.times:
                decoded.append((name, partial(layout.value, column)))
        pick = itemgetter(*picked, 0)  # of at least two it makes a tuple
        plan = self._plans[layout.number] = _Plan(pick, decoded, timed, as_of)
        return plan

    def _decode_function(
        self, layout: RowLayout, name: str, column: str, position: int | None
    ) -> Callable[[Any], Any]:
        on_demand, day = self._record.since_features.get(name), self.date

        @cache  # one entry for each different cell
        def decode(cell: Any) -> Any:
            value = None if position is None else layout.value(column, cell)
            return (
                value if on_demand is None else on_demand.value_on(day, {on_demand.column: value})
            )

        return decode

    def _since_function(
        self, layout: RowLayout, name: str, column: str, position: int | None
    ) -> Callable[[list[Any], PointInTime], Any]:
        feature = self._record.since_features[name]

        def compute(row: list[Any], request_time: PointInTime) -> Any:
            value = None if position is None else layout.value(column, row[position])
            return feature.value_on(request_time, {feature.column: value})

        return compute

    def _window_function(
        self, layout: RowLayout, name: str
    ) -> Callable[[list[Any], PointInTime], Any]:
        """Returns a function that counts or adds recent events: without the latest, where features are before it."""
        feature = self._record.window_features[name]
        end = -1 if self._prefix else None
        at = layout.position(f"{RECENT_PREFIX}{self._record.timestamp}")
        column = feature.column if isinstance(feature, SumWithin) else None
        summed = None if column is None else layout.position(f"{RECENT_PREFIX}{column}")

        def compute(row: list[Any], request_time: PointInTime) -> Any:
            if at is None or (column is not None and summed is None):
                return None
            values = {} if column is None or summed is None else {column: row[summed]}
            return feature.value_within(request_time, RecentEvents(row[at][:end], values))

        return compute
