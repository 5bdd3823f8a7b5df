"""Training's reading of a snapshot: for every event, what was known when it happened, beside the event itself."""

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.errors import FeatureError
from windlass.features.before import known_before
from windlass.features.ordering import ordered
from windlass.features.snapshot import EVENTS, STATES, Snapshot
from windlass.features.stored import Stored, refuse_other_view


def training_rows(view: FeatureView, record: ViewRecord, snapshot: Snapshot) -> pl.DataFrame:
    """A row for each event: the view's features as they were before it, then the event's own columns.

    The rows stand by time and key. An event's column of the same name as a feature is left out, and so are
    entities that were erased. Raises FeatureError where another version of the view computed the snapshot, or a
    part is not as it was written.
    """
    refuse_other_view(record, snapshot)
    states, events = (Stored.of(snapshot, kind).rows() for kind in (STATES, EVENTS))
    _refuse_torn(snapshot, states, events)
    features = known_before(view, record, states).select(record.features)
    own = events.drop(record.features, strict=False)
    return ordered(features.hstack(own), view.order)


def _refuse_torn(snapshot: Snapshot, states: pl.DataFrame, events: pl.DataFrame) -> None:
    """An entity may be erased between the reading of the one and of the other."""
    if not states.select(snapshot.order).equals(events.select(snapshot.order)):
        raise FeatureError(
            f"Snapshot {snapshot.number} changed while it was read: an entity is being erased. Read it again."
        )
