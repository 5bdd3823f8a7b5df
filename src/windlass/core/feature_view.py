"""Feature views: features of an entity that are computed from events, declared once for training and serving.

This file imports no library that computes features, because a server reads features without them.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.deprecation import renamed_arguments
from windlass.core.entity_ids import MAX_COLUMNS
from windlass.core.hashing import canonical_json
from windlass.core.on_demand import (
    NO_EVENTS,
    OnDemandFeature,
    PointInTime,
    RecentEvents,
    SinceFeature,
    SumWithin,
    WindowFeature,
)
from windlass.errors import ProjectError

ServedEvent = Literal["latest", "next"]  # the event that features of an entity are served for
SERVED_EVENTS: tuple[ServedEvent, ...] = ("latest", "next")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def entity_columns(entity: str | tuple[str, ...]) -> tuple[str, ...]:
    """Returns the columns that a view's `entity` names, one or several."""
    return (entity,) if isinstance(entity, str) else entity


def _one_or_several(entity: str | Sequence[str]) -> str | tuple[str, ...]:
    """Returns a single column as its name, also where it is given in a sequence."""
    if isinstance(entity, str):
        return entity
    columns = tuple(entity)
    return columns[0] if len(columns) == 1 else columns


@renamed_arguments(
    time="timestamp",
    key="event_id",
    history="transform",
    first="defaults",
    asked="request_columns",
    most_faults="max_invalid_share",
)
@dataclass(frozen=True)
class FeatureView:
    """Declares how the features of an entity are computed from events.

    The events are rows of a raw file. `entity` names the column that identifies the entity of an event (such as
    a customer), or the columns that do so together, such as `("shop", "customer")`. `timestamp` names the column
    of dates, or of dates with a time of day; `event_id` the column that is unique and orders events of one time.
    `contract` returns the Pandera schema (of Polars) for the raw file; it says which type each column has. Ids
    are integers, text or UUIDs.

    `transform` is a Narwhals function. It takes the events as a lazy frame and returns one row per event:
    the columns `entity`, `timestamp` and `event_id`, and the columns to store, as they are once the event has
    happened. It may use events of the same entity only, up to the event itself, ordered by `timestamp` and
    `event_id`.

    `serves` names the event that features by id are for. With "latest" it is the entity's latest event: the
    request comes after that event is stored. With "next" it is an event that is not stored yet: the request
    comes first. The features are those before that event; so "latest" leaves the latest event out, and "next"
    counts it.

    `at_request` holds features that are computed at request time: from stored columns (`YearsSince`, `DaysSince`,
    `HoursSince`), or from recent events (`CountWithin`, `SumWithin`). `defaults` gives the
    values of features for an entity that has no event yet. `request_columns` names the stored columns that a
    request for a new event already contains, such as the fields of an application form; for "latest" they are
    the event's own. Stored features older than `ttl` are missing (null). Features that were last updated more than
    `max_age` ago are marked as stale in responses. A build fails if more than the share `max_invalid_share` (0 to
    1) of the raw rows break the contract.

    Raises ProjectError if an argument cannot be used.
    """

    name: str
    entity: str | tuple[str, ...]
    timestamp: str
    event_id: str
    contract: Callable[[], Any] = field(repr=False)
    transform: Callable[[Any], Any] = field(repr=False)
    at_request: Mapping[str, SinceFeature | WindowFeature] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    request_columns: tuple[str, ...] = ()
    ttl: timedelta | None = None
    max_age: timedelta | None = None
    max_invalid_share: float = 0.05
    serves: ServedEvent = "next"

    def __post_init__(self) -> None:
        object.__setattr__(self, "request_columns", tuple(self.request_columns))
        object.__setattr__(self, "entity", _one_or_several(self.entity))
        identifying = (*entity_columns(self.entity), self.timestamp, self.event_id)
        rules = (
            (bool(_NAME.fullmatch(self.name)), "a name of small letters, digits and _"),
            (
                len(set(identifying)) == len(identifying) > 2,
                "different columns: entity, timestamp and event_id",
            ),
            (
                len(identifying) <= MAX_COLUMNS + 2,
                f"an entity of at most {MAX_COLUMNS} columns",
            ),
            (callable(self.contract), "contract to be a function that returns a Pandera schema"),
            (callable(self.transform), "transform to be a Narwhals function (not its call)"),
            (
                all(
                    isinstance(feature, SinceFeature | WindowFeature)
                    for feature in self.at_request.values()
                ),
                "at_request to hold YearsSince(…), DaysSince(…), HoursSince(…), CountWithin(…) or SumWithin(…)",
            ),
            (0 <= self.max_invalid_share <= 1, "max_invalid_share to be a share from 0 to 1"),
            (self.serves in SERVED_EVENTS, "serves to be 'latest' or 'next'"),
            (self.ttl is None or self.ttl > timedelta(0), "a ttl above 0"),
            (self.max_age is None or self.max_age > timedelta(0), "a max_age above 0"),
        )
        for fits, rule in rules:
            if not fits:
                raise ProjectError(f"Feature view {self.name!r} needs {rule}.")

    @property
    def entity_columns(self) -> tuple[str, ...]:
        """The columns that identify an entity."""
        return entity_columns(self.entity)

    @property
    def order(self) -> tuple[str, str]:
        """The two columns by which an entity's events are ordered."""
        return self.timestamp, self.event_id

    def record(self, features: tuple[str, ...]) -> "ViewRecord":
        """Returns the view as data, with `features` (the columns of the project's row) in this order."""
        unversioned = ViewRecord(
            name=self.name,
            version="",
            entity=self.entity,
            timestamp=self.timestamp,
            event_id=self.event_id,
            features=features,
            at_request=dict(self.at_request),
            ttl_days=None if self.ttl is None else self.ttl / timedelta(days=1),
            max_age_seconds=None if self.max_age is None else self.max_age.total_seconds(),
            serves=self.serves,
        )
        return unversioned.model_copy(update={"version": self._version(unversioned)})

    def _version(self, record: "ViewRecord") -> str:
        """Computes a hash of the declaration and of the file that defines `transform`: 12 hex digits.

        The hashed text has the field names of 0.1, so that an unchanged view keeps its version.
        """
        declared = record.model_dump(mode="json") | {
            "first": dict(self.defaults),
            "asked": self.request_columns,
        }
        digest = hashlib.sha256(canonical_json(declared))
        source = inspect.getsourcefile(self.transform)
        digest.update(Path(source).read_bytes() if source else b"")
        return digest.hexdigest()[:12]


class ViewRecord(BaseModel):
    """Feature view as data: all that a server needs to serve features without the project's code.

    It is stored as JSON in the registry's database, with the field names of 0.1.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True
    )

    name: str
    version: str
    entity: str | tuple[str, ...]
    timestamp: str = Field(validation_alias="time", serialization_alias="time")
    event_id: str = Field(validation_alias="key", serialization_alias="key")
    features: tuple[str, ...]
    at_request: dict[str, OnDemandFeature] = {}
    ttl_days: float | None = None
    max_age_seconds: float | None = None
    serves: ServedEvent = Field("next", exclude_if="next".__eq__)  # which 0.1 always served

    @property
    def entity_columns(self) -> tuple[str, ...]:
        """The columns that identify an entity."""
        return entity_columns(self.entity)

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns in the online store: stored features, and the inputs of on-demand features."""
        stored_features = [name for name in self.features if name not in self.at_request]
        inputs = (feature.column for feature in self.since_features.values())
        return tuple(dict.fromkeys([*stored_features, *inputs]))

    @property
    def since_features(self) -> dict[str, SinceFeature]:
        """The on-demand features of the time since a stored column."""
        return {
            name: feature
            for name, feature in self.at_request.items()
            if isinstance(feature, SinceFeature)
        }

    @property
    def window_features(self) -> dict[str, WindowFeature]:
        """The on-demand features of recent events."""
        return {
            name: feature
            for name, feature in self.at_request.items()
            if isinstance(feature, WindowFeature)
        }

    @property
    def summed_columns(self) -> tuple[str, ...]:
        """The columns of events that features of windows add."""
        windows = self.window_features.values()
        return tuple(
            dict.fromkeys(feature.column for feature in windows if isinstance(feature, SumWithin))
        )

    @property
    def longest_window(self) -> timedelta | None:
        """The length of the longest window; None where no feature has one."""
        return max((feature.length for feature in self.window_features.values()), default=None)

    def features_on(
        self, stored: Mapping[str, Any], request_time: PointInTime, recent: RecentEvents = NO_EVENTS
    ) -> dict[str, Any]:
        """Returns all features at a moment, in order, from the stored columns and recent events."""
        return {name: self._value_on(name, stored, request_time, recent) for name in self.features}

    def _value_on(
        self, name: str, stored: Mapping[str, Any], request_time: PointInTime, recent: RecentEvents
    ) -> Any:
        feature = self.at_request.get(name)
        if feature is None:
            return stored[name]
        if isinstance(feature, WindowFeature):
            return feature.value_within(request_time, recent)
        return feature.value_on(request_time, stored)
