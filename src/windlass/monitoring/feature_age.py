"""How fresh the features of a project are that a server answers with; as numbers, and for Prometheus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric


@dataclass(frozen=True)
class FeatureAge:
    """The snapshot that was materialised last, by which view, and when, in seconds since 1970.

    `newest` is the day of the newest event in it. Features are `stale` that were not materialised for longer
    than their view allows.
    """

    view_version: str
    snapshot: int
    materialised_at: float
    newest: date | None
    entities: int
    stale: bool

    @property
    def newest_at(self) -> float | None:
        """The beginning of the newest event's day, in seconds since 1970."""
        if self.newest is None:
            return None
        day = datetime(self.newest.year, self.newest.month, self.newest.day, tzinfo=UTC)
        return day.timestamp()

    def told(self) -> dict[str, Any]:
        """What `/status` says."""
        return {
            "snapshot": self.snapshot,
            "view_version": self.view_version,
            "materialised_at": self.materialised_at,
            "newest_event": None if self.newest is None else self.newest.isoformat(),
            "entities": self.entities,
            "stale": self.stale,
        }


def age_families(ages: Mapping[str, FeatureAge]) -> Iterator[Metric]:
    """A family for each figure, of the projects whose features were materialised; none where there are none."""
    for name, text, attribute in (
        ("materialised_timestamp_seconds", "When features were last materialised, since 1970.", "materialised_at"),
        ("newest_event_timestamp_seconds", "The day of the newest event in them, since 1970.", "newest_at"),
        ("snapshot", "The number of the snapshot that they come from.", "snapshot"),
        ("entities", "How many entities have features.", "entities"),
        ("stale", "1 where they are older than their view allows.", "stale"),
    ):  # fmt: skip
        family = GaugeMetricFamily(f"windlass_features_{name}", text, labels=["project"])
        for project, age in sorted(ages.items()):
            value = getattr(age, attribute)
            if value is not None:
                family.add_metric([project], value)
        if family.samples:
            yield family
