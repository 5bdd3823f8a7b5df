"""Builds the parts of a snapshot, a bucket at a time: events, their states, and the latest state of each entity.

On top of a parent snapshot, unchanged buckets are hard links to its files; in the others, only the states of
entities with new events are computed again.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.hashing import sha256_file
from windlass.core.progress import ProgressCallback
from windlass.errors import FeatureError
from windlass.features.engines.duckdb import FeatureEngine
from windlass.features.ingest.bucket_writer import ROW, BucketWriter
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.look_ahead import LookAheadCheck
from windlass.features.offline.parts import (
    has_before_event,
    is_first_row,
    normalise_states,
    part_name,
    read_parts,
    rows_of,
    rows_without,
    sort_columns,
    sort_rows,
    state_columns,
    write_part,
)
from windlass.features.offline.snapshot import (
    BEFORE_EVENT,
    COMPUTED_AT,
    EVENTS,
    LATEST,
    QUARANTINE,
    STATES,
    Snapshot,
    content_digest,
)
from windlass.features.offline.training_set import states_before
from windlass.features.offline.windows import recent_events

_PARTS_PER_CALL = 16  # parts that the engine gets in one call


@dataclass
class BuiltSnapshot:
    """Counts and digests of the parts built so far. `still_stored`: erased entities in the parent, by bucket."""

    events: int = 0
    entities: int = 0
    recomputed: int = 0
    erased: int = 0
    newest: date | None = None
    files: dict[str, str] = field(default_factory=dict)
    still_stored: dict[int, pl.DataFrame] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """The fields of `Snapshot` that follow from the parts."""
        return {
            "events": self.events,
            "entities": self.entities,
            "recomputed": self.recomputed,
            "newest": self.newest,
            "files": self.files,
            "digest": content_digest(self.files),
        }


@dataclass(frozen=True)
class SnapshotBuilder:
    """Builds the snapshot `folder` from the rows of `bucket_writer`, on top of `parent` where there is one."""

    view: FeatureView
    record: ViewRecord
    parent: Snapshot | None
    folder: Path
    staging: Path
    bucket_writer: BucketWriter

    def build(
        self,
        engine: FeatureEngine,
        duplicates: pl.Series,
        erased: ErasedEntities,
        progress: ProgressCallback,
    ) -> BuiltSnapshot:
        """Builds every part. Raises FeatureError where the view's transform gives other rows, or looks ahead."""
        built = BuiltSnapshot()
        todo = []
        for bucket in range(self.bucket_writer.buckets):
            part = self._write_events(bucket, duplicates, erased, built)
            if part is not None:
                todo.append(part)
            progress(0.2 * (bucket + 1) / self.bucket_writer.buckets, "sorting events")
        computed = self.staging / "computed"
        computed.mkdir()
        for start in range(0, len(todo), _PARTS_PER_CALL):
            progress(0.2 + 0.6 * start / len(todo), "computing features")
            engine.compute_states(self.view, todo[start : start + _PARTS_PER_CALL], computed)
        now = time.time()
        for bucket in range(self.bucket_writer.buckets):
            self._finish_bucket(bucket, computed / part_name(bucket), now, built)
            progress(0.8 + 0.15 * (bucket + 1) / self.bucket_writer.buckets, "writing the snapshot")
        progress(0.95, "checking that no feature looks ahead")
        states = self.folder / STATES
        LookAheadCheck(self.view, self.record, engine, states, self.staging).run(todo)
        self._link_quarantine()
        return built

    def _write_events(
        self, bucket: int, duplicates: pl.Series, erased: ErasedEntities, built: BuiltSnapshot
    ) -> Path | None:
        """Writes a bucket's events; returns a part of those whose states are to be computed, or None."""
        new = self._new_events(bucket, duplicates, erased, built)
        name = part_name(bucket)
        path = self.folder / EVENTS / name
        built.still_stored[bucket] = self._still_stored(bucket, erased)
        if self.parent is None or new.height or built.still_stored[bucket].height:
            old = self._parent_rows(EVENTS, bucket, built)
            events = new if old is None else pl.concat([old, new])
            events = sort_rows(events, self._order)
            write_part(events, path)
        else:
            os.link(self.parent.folder / EVENTS / name, path)
            events = None
        built.files[f"{EVENTS}/{name}"] = self._digest(EVENTS, name, linked=events is None)
        if self._recompute_all:
            return path
        if events is None or not new.height:
            return None
        work = self.staging / name
        rows_of(events, new.select(self.view.entity_columns)).write_parquet(work)
        return work

    def _still_stored(self, bucket: int, erased: ErasedEntities) -> pl.DataFrame:
        """Returns the erased entities that the parent still holds, as after an interrupted erasure."""
        if self.parent is None:
            return pl.DataFrame()
        latest = self.parent.folder / LATEST / part_name(bucket)
        return erased.erased_in(read_parts([latest], self.view.entity_columns))

    def _new_events(
        self, bucket: int, duplicates: pl.Series, erased: ErasedEntities, built: BuiltSnapshot
    ) -> pl.DataFrame:
        """Returns the bucket's rows of the raw file, without duplicates and erased entities."""
        rows = self.bucket_writer.read(bucket)
        if rows is None:
            return pl.DataFrame(schema=self.bucket_writer.dtypes)
        self.bucket_writer.drop(bucket)
        if len(duplicates):
            rows = rows.filter(~rows[ROW].is_in(duplicates.implode()))
        entities = erased.erased_in(rows.select(self.view.entity_columns))
        if entities.height:
            remaining = rows_without(rows, entities)
            built.erased += rows.height - remaining.height
            rows = remaining
        return rows.drop(ROW)

    def _finish_bucket(self, bucket: int, computed: Path, now: float, built: BuiltSnapshot) -> None:
        """Write or link a bucket's states and latest states, and count its rows."""
        name = part_name(bucket)
        linked = not computed.exists() and not built.still_stored[bucket].height
        if linked:
            assert self.parent is not None
            for kind in (STATES, LATEST):
                os.link(self.parent.folder / kind / name, self.folder / kind / name)
        else:
            self._write_states(bucket, self._computed_states(bucket, computed, built), now, built)
        for kind in (STATES, LATEST):
            built.files[f"{kind}/{name}"] = self._digest(kind, name, linked=linked)
        latest = read_parts([self.folder / LATEST / name], [self.view.timestamp])
        newest = latest[self.view.timestamp].max()
        built.entities += latest.height
        built.events += _row_count(self.folder / EVENTS / name)
        if isinstance(newest, datetime):
            newest = newest.date()
        if isinstance(newest, date):
            built.newest = max(newest, built.newest or newest)

    def _write_states(
        self, bucket: int, fresh: pl.DataFrame, now: float, built: BuiltSnapshot
    ) -> None:
        name, entity = part_name(bucket), self.view.entity_columns
        latest = self._latest_states(bucket, fresh).with_columns(pl.lit(now).alias(COMPUTED_AT))
        built.recomputed += latest.height
        old = None if self._recompute_all else self._parent_rows(STATES, bucket, built)
        if old is not None:
            computed = latest.select(entity)
            before = self._parent_rows(LATEST, bucket, built)
            assert before is not None
            fresh = sort_rows(pl.concat([rows_without(old, computed), fresh]), self._order)
            latest = sort_rows(pl.concat([rows_without(before, computed), latest]), entity)
        self._check_states(bucket, fresh)
        write_part(fresh, self.folder / STATES / name)
        write_part(latest, self.folder / LATEST / name)

    def _latest_states(self, bucket: int, states: pl.DataFrame) -> pl.DataFrame:
        """Returns the last state of each entity, and beside it what was stored before its event.

        Views with features of windows get the entity's recent events, too.
        """
        entity = self.view.entity_columns
        before = states_before(self.view, self.record, states).select(self.record.stored_columns)
        latest = latest_states(states.with_columns(before.to_struct(BEFORE_EVENT)), entity)
        if not self.record.window_features:
            return latest
        columns = [*entity, self.view.timestamp, *self.record.summed_columns]
        events = read_parts([self.folder / EVENTS / part_name(bucket)], columns)
        recent = recent_events(self.record, rows_of(events, latest.select(entity)))
        return latest if recent is None else latest.with_columns(recent)

    def _computed_states(self, bucket: int, computed: Path, built: BuiltSnapshot) -> pl.DataFrame:
        """Returns the engine's states in the store's types and order; none where it computed none."""
        if not computed.exists():
            old = self._parent_rows(STATES, bucket, built)
            assert old is not None
            return old.clear()
        raw = pl.read_parquet(computed / "*.parquet" if computed.is_dir() else computed)
        missing = [name for name in state_columns(self.record) if name not in raw.columns]
        if missing:
            raise FeatureError(
                f"The transform of view {self.view.name} gives no column {', '.join(missing)}. Have it select them."
            )
        return sort_rows(normalise_states(raw, self.record, self._times), self._order)

    def _check_states(self, bucket: int, states: pl.DataFrame) -> None:
        events = read_parts([self.folder / EVENTS / part_name(bucket)], self._order)
        if not events.equals(states.select(self._order)):
            raise FeatureError(
                f"The transform of view {self.view.name} gives other rows than the events. Have it give one state for"
                f" each event, with its {', '.join(self._order)} as they are."
            )

    def _link_quarantine(self) -> None:
        for part in self.parent.quarantine_parts() if self.parent else ():
            os.link(part, self.folder / QUARANTINE / part.name)

    def _parent_rows(self, kind: str, bucket: int, built: BuiltSnapshot) -> pl.DataFrame | None:
        if self.parent is None:
            return None
        old = read_parts([self.parent.folder / kind / part_name(bucket)])
        erased = built.still_stored[bucket]
        return rows_without(old, erased) if erased.height else old

    def _digest(self, kind: str, name: str, *, linked: bool) -> str:
        if linked and self.parent is not None:
            return self.parent.files[f"{kind}/{name}"]
        return sha256_file(self.folder / kind / name)

    @property
    def _times(self) -> list[str]:
        """The columns of events that have a time of day."""
        return [name for name, kind in self.bucket_writer.dtypes.items() if kind == pl.Datetime]

    @property
    def _order(self) -> list[str]:
        return sort_columns(self.record)

    @property
    def _recompute_all(self) -> bool:
        """Whether every state is computed: no parent has them, or one of another version of the view or of Windlass."""
        return (
            self.parent is None
            or self.parent.view != self.record.version
            or not has_before_event(self.parent.latest_parts())
        )


def latest_states(states: pl.DataFrame, entity: Sequence[str]) -> pl.DataFrame:
    """Returns the last state of each entity, which these columns identify; `states` are sorted."""
    return states.filter(is_first_row(states, entity).shift(-1, fill_value=True))


def _row_count(part: Path) -> int:
    return int(pl.scan_parquet(part).select(pl.len()).collect().item())
