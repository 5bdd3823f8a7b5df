"""Feature views: features of an entity that are computed from events, declared once for training and serving.

This file imports no library that computes features, because a server reads features without them.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.deprecation import renamed_arguments
from windlass.core.hashing import canonical_json
from windlass.errors import ProjectError

ServedEvent = Literal["latest", "next"]  # the event that features of an entity are served for
SERVED_EVENTS: tuple[ServedEvent, ...] = ("latest", "next")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class YearsSince(BaseModel):
    """On-demand feature: completed years since the date in the stored column `column`, at request time.

    The feature is null if the date is missing or in the future. A year is complete on the same day of the same
    month; for 29 February, on 1 March in a year without that day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["years_since"] = "years_since"
    column: str

    def __init__(self, column: str, **more: Any) -> None:
        super().__init__(column=column, **more)

    def value_on(self, day: date, stored: Mapping[str, Any]) -> int | None:
        """Computes the feature on `day` from the stored columns; `training_set` in `features` does it for tables."""
        since: date | None = stored[self.column]
        if since is None or since > day:
            return None
        return day.year - since.year - ((day.month, day.day) < (since.month, since.day))


AtRequest = YearsSince


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

    The events are rows of a raw file. `entity` names the integer column that identifies the entity of an
    event (such as a client), `timestamp` the date column, and `event_id` the integer column that is unique
    and orders the events of one day. `contract` returns the Pandera schema (of Polars) for the raw file.

    `transform` is a Narwhals function. It takes the events as a lazy frame and returns one row per event:
    the columns `entity`, `timestamp` and `event_id`, and the columns to store, as they are once the event has
    happened. It may use events of the same entity only, up to the event itself, ordered by `timestamp` and
    `event_id`.

    `serves` names the event that features by id are for. With "latest" it is the entity's latest event: the
    request comes after that event is stored. With "next" it is an event that is not stored yet: the request
    comes first. The features are those before that event; so "latest" leaves the latest event out, and "next"
    counts it.

    `at_request` holds features that are computed at request time from stored columns. `defaults` gives the
    values of features for an entity that has no event yet. `request_columns` names the stored columns that a
    request for a new event already contains, such as the fields of an application form; for "latest" they are
    the event's own. Stored features older than `ttl` are missing (null). Features that were last updated more than
    `max_age` ago are marked as stale in responses. A build fails if more than the share `max_invalid_share` (0 to
    1) of the raw rows break the contract.

    Raises ProjectError if an argument cannot be used.
    """

    name: str
    entity: str
    timestamp: str
    event_id: str
    contract: Callable[[], Any] = field(repr=False)
    transform: Callable[[Any], Any] = field(repr=False)
    at_request: Mapping[str, AtRequest] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    request_columns: tuple[str, ...] = ()
    ttl: timedelta | None = None
    max_age: timedelta | None = None
    max_invalid_share: float = 0.05
    serves: ServedEvent = "next"

    def __post_init__(self) -> None:
        object.__setattr__(self, "request_columns", tuple(self.request_columns))
        rules = (
            (bool(_NAME.fullmatch(self.name)), "a name of small letters, digits and _"),
            (
                len({self.entity, self.timestamp, self.event_id}) == 3,
                "three different columns: entity, timestamp and event_id",
            ),
            (callable(self.contract), "contract to be a function that returns a Pandera schema"),
            (callable(self.transform), "transform to be a Narwhals function (not its call)"),
            (
                all(isinstance(feature, AtRequest) for feature in self.at_request.values()),
                "at_request to hold YearsSince(…)",
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
    entity: str
    timestamp: str = Field(validation_alias="time", serialization_alias="time")
    event_id: str = Field(validation_alias="key", serialization_alias="key")
    features: tuple[str, ...]
    at_request: dict[str, AtRequest] = {}
    ttl_days: float | None = None
    max_age_seconds: float | None = None
    serves: ServedEvent = Field("next", exclude_if="next".__eq__)  # which 0.1 always served

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns in the online store: stored features, and the inputs of on-demand features."""
        stored_features = [name for name in self.features if name not in self.at_request]
        inputs = (feature.column for feature in self.at_request.values())
        return tuple(dict.fromkeys([*stored_features, *inputs]))

    def features_on(self, stored: Mapping[str, Any], day: date) -> dict[str, Any]:
        """Returns all features on a day, in order, from the stored columns."""
        on_demand = self.at_request
        return {
            name: on_demand[name].value_on(day, stored) if name in on_demand else stored[name]
            for name in self.features
        }
