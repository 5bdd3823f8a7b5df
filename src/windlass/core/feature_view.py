"""A feature view: how what is known of an entity follows from events, declared once for history and for now.

Nothing of the libraries that compute it is imported here: a server reads features without them.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from windlass.core.hashing import canonical
from windlass.errors import ProjectError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class YearsSince(BaseModel):
    """A feature of the moment it is asked for: completed years since the date in `column`.

    Null where that date is missing or still to come. A year is complete on the day of the same month and
    number; one that began on 29 February, on 1 March where there is no such day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["years_since"] = "years_since"
    column: str

    def __init__(self, column: str, **more: Any) -> None:
        super().__init__(column=column, **more)

    def of(self, known: Mapping[str, Any], at: date) -> int | None:
        """The feature on the day `at`, from what is known. The history of features computes the same in columns."""
        since: date | None = known[self.column]
        if since is None or since > at:
            return None
        return at.year - since.year - ((at.month, at.day) < (since.month, since.day))


AtRequest = YearsSince


@dataclass(frozen=True)
class FeatureView:
    """How features of an entity follow from events, as `project.py` declares it.

    The events are rows of a raw file. `entity` names their integer column that says whom they are about,
    `time` the date they happened on, `key` the integer column that is unique and orders those of one day.
    `contract` makes the Pandera schema (of Polars) that a raw file has to keep.

    `history` is a Narwhals function: it takes the events as a lazy frame and gives, for each of them, what
    is known of the entity once it has happened: the columns `entity`, `time`, `key` and what is to be stored.
    It may look at events of the same entity only, up to the event itself in the order of `time` and `key`.

    `at_request` are features of the moment they are asked for, made from stored columns. `first` says what
    features are before the first event, and `asked` which stored columns that event itself brings along, as
    the form of an application does. What is older than `ttl` counts as unknown; features that were not
    brought up to date for longer than `max_age` are flagged in answers. A build stops where more than the
    share `most_faults` of the raw rows break the contract.
    """

    name: str
    entity: str
    time: str
    key: str
    contract: Callable[[], Any] = field(repr=False)
    history: Callable[[Any], Any] = field(repr=False)
    at_request: Mapping[str, AtRequest] = field(default_factory=dict)
    first: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    ttl: timedelta | None = None
    max_age: timedelta | None = None
    most_faults: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked", tuple(self.asked))
        wanted = (
            (bool(_NAME.fullmatch(self.name)), "a name of small letters, digits and _"),
            (len({self.entity, self.time, self.key}) == 3, "three columns: entity, time and key"),
            (callable(self.contract), "contract to be a function that returns a Pandera schema"),
            (callable(self.history), "history to be a Narwhals function (not its call)"),
            (
                all(isinstance(made, AtRequest) for made in self.at_request.values()),
                "at_request to hold YearsSince(…)",
            ),
            (0 <= self.most_faults <= 1, "most_faults to be a share from 0 to 1"),
            (self.ttl is None or self.ttl > timedelta(0), "a ttl longer than nothing"),
            (self.max_age is None or self.max_age > timedelta(0), "a max_age longer than nothing"),
        )
        for fits, rule in wanted:
            if not fits:
                raise ProjectError(f"Feature view {self.name!r} needs {rule}.")

    @property
    def order(self) -> tuple[str, str]:
        """The columns that order an entity's events."""
        return self.time, self.key

    def record(self, features: tuple[str, ...]) -> "ViewRecord":
        """The view as data, for `features` in this order: what a server needs of it."""
        plain = ViewRecord(
            name=self.name,
            version="",
            entity=self.entity,
            time=self.time,
            key=self.key,
            features=features,
            at_request=dict(self.at_request),
            ttl_days=None if self.ttl is None else self.ttl / timedelta(days=1),
            max_age_seconds=None if self.max_age is None else self.max_age.total_seconds(),
        )
        return plain.model_copy(update={"version": self._version(plain)})

    def _version(self, record: "ViewRecord") -> str:
        """Another for other features: by the declaration and the file that `history` is written in."""
        declared = record.model_dump(mode="json") | {"first": dict(self.first), "asked": self.asked}
        digest = hashlib.sha256(canonical(declared))
        source = inspect.getsourcefile(self.history)
        digest.update(Path(source).read_bytes() if source else b"")
        return digest.hexdigest()[:12]


class ViewRecord(BaseModel):
    """A feature view as data: what a server needs to answer features without the project's code."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str
    entity: str
    time: str
    key: str
    features: tuple[str, ...]
    at_request: dict[str, AtRequest] = {}
    ttl_days: float | None = None
    max_age_seconds: float | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that the online store keeps: features, and what those of the moment are made from."""
        kept = [name for name in self.features if name not in self.at_request]
        made_from = (made.column for made in self.at_request.values())
        return tuple(dict.fromkeys([*kept, *made_from]))

    def at(self, known: Mapping[str, Any], day: date) -> dict[str, Any]:
        """The features on a day, in order, from what is stored."""
        return {
            name: self.at_request[name].of(known, day) if name in self.at_request else known[name]
            for name in self.features
        }
