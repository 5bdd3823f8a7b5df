"""Features of an entity now: what the online store knows of it, and what follows from the day it is asked.

All that a server needs to read features. Neither pyarrow nor what computes features is imported here.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from math import ceil
from operator import itemgetter
from typing import Any, NamedTuple

from windlass.core.feature_view import ViewRecord
from windlass.features.online.row_format import SNAPSHOT_BITS, RowLayout, StoredRow
from windlass.features.online.store import OnlineStore

FRESHNESS_INTERVAL = 1.0  # for which a reader takes the store's freshness as it last saw it

Plan = tuple[Callable[[list[Any]], tuple[Any, ...]], list[tuple[str, Callable[[Any], Any]]]]


class Features(NamedTuple):
    """The features of one entity, on the day they were asked for, in the order of the view.

    `as_of` is the day of the newest event that they tell of, `computed_at` when the stored ones were computed
    (epoch seconds). `stale` says that the store was not brought up to date for longer than the view allows,
    `view` which version of the view computed them.
    """

    entity: int
    values: dict[str, Any]
    as_of: date
    computed_at: float
    stale: bool
    view: str


def today_utc() -> date:
    """The day it is in UTC."""
    return datetime.now(UTC).date()


class FeatureReader:
    """Reads features of entities from an online store. Safe to share between threads, as its store is.

    What is older than the view's `ttl` on the day it is asked for counts as unknown: its features are null.
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
        self._day = _DayDecoder(record, today())
        self._next_check = float("-inf")
        self._stale_from = float("-inf")  # epoch seconds

    def get(self, entity: int) -> Features | None:
        """The features of an entity; None for one that is unknown.

        Raises FeatureError for what is no 64-bit integer, StorageError where the store fails.
        """
        known = self._store.read(entity)
        if known is None:
            return None
        return self._at(self._today()).features((entity,), (known,), self._stale())[0]

    def get_many(self, entities: Sequence[int]) -> list[Features | None]:
        """The features of each of these entities, in their order, all of one day. Raises as `get`."""
        found = self._store.read_many(entities)
        return self._at(self._today()).features(entities, found, self._stale())

    def _at(self, day: date) -> "_DayDecoder":
        if self._day.date != day:
            self._day = _DayDecoder(self._record, day)
        return self._day

    def _stale(self) -> bool:
        most = self._record.max_age_seconds
        if most is None:
            return False
        now = self._clock()
        if not self._next_check - FRESHNESS_INTERVAL <= now < self._next_check:
            fresh = self._store.freshness()
            self._stale_from = float("-inf") if fresh is None else fresh.materialised_at + most
            self._next_check = now + FRESHNESS_INTERVAL
        return now > self._stale_from


class _DayDecoder:
    """Computes `ViewRecord.features_on` for one day, for rows of any layout, and caches what it computed."""

    def __init__(self, record: ViewRecord, day: date) -> None:
        self.date = day
        self._record = record
        oldest = 0 if record.ttl_days is None else ceil(day.toordinal() - record.ttl_days)
        self._oldest = max(oldest, 0) << SNAPSHOT_BITS  # as a rank
        self._names = record.features
        self._plans: dict[int, Plan] = {}

    def features(
        self, entities: Sequence[int], found: Sequence[StoredRow | None], stale: bool
    ) -> list[Features | None]:
        """The features of entities on this day. Columns that an older version did not store are null."""
        names, oldest, day, plans = self._names, self._oldest, date.fromordinal, self._plans
        features: list[Features | None] = []
        for entity, known in zip(entities, found, strict=True):
            if known is None:
                features.append(None)
                continue
            row, layout = known
            rank = row[0]
            if rank < oldest:
                values: dict[str, Any] = dict.fromkeys(names)
            else:
                pick, made = plans.get(row[1]) or self._plan(layout)
                values = dict(zip(names, pick(row)))  # noqa: B905 - it costs a tenth of the whole
                for name, of in made:
                    values[name] = of(values[name])
            as_of = day(rank >> SNAPSHOT_BITS)
            features.append(Features(entity, values, as_of, row[2], stale, layout.view))
        return features

    def _plan(self, layout: RowLayout) -> "Plan":
        """Where in a row each feature is, and which of them are made from what is there."""
        made = self._record.at_request
        columns = [made[name].column if name in made else name for name in self._names]
        snapshot_folders = [layout.position(column) for column in columns]
        picked = [0 if place is None else place for place in snapshot_folders]
        functions = [
            (name, self._made(layout, name, column, place))
            for name, column, place in zip(self._names, columns, snapshot_folders, strict=True)
            if name in made or column in layout.dates or place is None
        ]
        pick = itemgetter(*picked, 0)  # of two at least it makes a tuple
        plan = self._plans[layout.number] = pick, functions
        return plan

    def _made(
        self, layout: RowLayout, name: str, column: str, place: int | None
    ) -> Callable[[Any], Any]:
        made, day = self._record.at_request.get(name), self.date

        @cache  # as many as there are different dates
        def of(cell: Any) -> Any:
            value = None if place is None else layout.value(column, cell)
            return value if made is None else made.value_on(day, {column: value})

        return of
