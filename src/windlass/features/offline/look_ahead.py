"""Checks that a view does not look ahead: states are computed again for histories that end at an event.

A state may follow from events of its entity up to its own event, and from nothing else. So it has to come out the same
where the entity's later events are missing, and where other entities are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.errors import FeatureError
from windlass.features.engines.duckdb import FeatureEngine
from windlass.features.offline.parts import (
    RESERVED_PREFIX,
    normalise_states,
    part_name,
    sort_columns,
    state_columns,
)

_ENTITIES, _ALONE = 100, 3  # that are sampled; and of these, that are computed without any other
_MAX_EVENTS = 2_000  # of a history
_TOLERANCE = 1e-6  # relative, or absolute below 1: floats are summed in another order
_NUMBER, _COUNT = f"{RESERVED_PREFIX}number", f"{RESERVED_PREFIX}count"
_AGAIN = f"{RESERVED_PREFIX}again"


@dataclass(frozen=True)
class LookAheadCheck:
    """Check of the states that `engine` computed for parts of events; `states` is the folder of the finished ones."""

    view: FeatureView
    record: ViewRecord
    engine: FeatureEngine
    states: Path
    staging: Path

    def run(self, event_parts: Sequence[Path]) -> None:
        """Compute the states of sampled entities again. Raises FeatureError where one looks ahead.

        The sample is the same for the same events. It prefers entities with events of one time.
        """
        if not event_parts:  # an append without events
            return
        events, states = self._sample(event_parts)
        if events.is_empty():
            return
        work = self.staging / "look_ahead"
        again = work / "states"
        again.mkdir(parents=True)
        histories = list(self._histories(events))
        parts = [work / part_name(index) for index in range(len(histories))]
        for history, part in zip(histories, parts, strict=True):
            history.select(pl.exclude(_NUMBER, _COUNT)).write_parquet(part)
        self.engine.compute_states(self.view, parts, again)
        for history, part in zip(histories, parts, strict=True):
            times = [name for name, kind in history.schema.items() if kind == pl.Datetime]
            self._compare(history, states, _read_states(again / part.name, self.record, times))

    def _sample(self, event_parts: Sequence[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Returns the events and the finished states of sampled entities, from as few parts as hold enough."""
        order = sort_columns(self.record)
        events: list[pl.DataFrame] = []
        states: list[pl.DataFrame] = []
        entities = 0
        for part in event_parts:
            keys = pl.read_parquet(part, columns=order)
            chosen = self._sample_entities(keys, _ENTITIES - entities)
            entities += chosen.height
            for path, rows in ((part, events), (self.states / part.name, states)):
                table = pl.scan_parquet(path)
                rows.append(
                    table.join(
                        chosen.lazy(), on=self._entity, how="semi", maintain_order="left"
                    ).collect()
                )
            if entities >= _ENTITIES:
                break
        numbered = pl.concat(events).with_columns(
            pl.int_range(pl.len()).over(self._entity).alias(_NUMBER),
            pl.len().over(self._entity).alias(_COUNT),
        )
        return numbered, pl.concat(states)

    @property
    def _entity(self) -> list[str]:
        """The columns of the entity."""
        return list(self.record.entity_columns)

    def _sample_entities(self, keys: pl.DataFrame, wanted: int) -> pl.DataFrame:
        """Returns up to `wanted` entities: half of them with events of one time, evenly spaced by their order."""
        is_tied = (pl.col(self.record.timestamp).n_unique() < pl.len()).alias(_NUMBER)
        counts = keys.group_by(self._entity, maintain_order=True).agg(
            pl.len().alias(_COUNT), is_tied
        )
        longer = counts.filter(pl.col(_COUNT) > 1)
        tied = _evenly_spaced(longer.filter(_NUMBER), wanted // 2)
        rest = longer.join(tied, on=self._entity, how="anti", maintain_order="left")
        chosen = pl.concat([tied, _evenly_spaced(rest, wanted - tied.height)])
        single = counts.filter(pl.col(_COUNT) == 1)
        chosen = pl.concat([chosen, _evenly_spaced(single, wanted - chosen.height)])
        return chosen.select(self._entity)

    def _histories(self, events: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yields the beginnings of histories, of each entity one at a time; the last ones are of one entity alone."""
        count = pl.col(_COUNT)
        for length in (pl.lit(1), pl.lit(2), count // 4, count // 2, count - 1):
            yield events.filter(pl.col(_NUMBER) < length.clip(1, _MAX_EVENTS))
        entities = events.select(self._entity).unique(maintain_order=True)
        for index in range(min(_ALONE, entities.height)):
            alone = events.join(entities[index], on=self._entity, how="semi", maintain_order="left")
            yield alone.filter(pl.col(_NUMBER) < count.clip(1, _MAX_EVENTS))

    def _compare(self, history: pl.DataFrame, states: pl.DataFrame, again: pl.DataFrame) -> None:
        """Compare the states of the last events of a history. Raises FeatureError where one differs."""
        order = sort_columns(self.record)
        number, count = pl.int_range(pl.len()).over(self._entity), pl.len().over(self._entity)
        last = history.filter(number == count - 1)
        expected = last.select(*order).join(states, on=order, how="left", maintain_order="left")
        both = expected.join(again, on=order, how="left", suffix=_AGAIN, maintain_order="left")
        for name in self.record.stored_columns:
            kind = both.schema[name]
            differs = _differ(
                pl.col(name), pl.col(f"{name}{_AGAIN}").cast(kind, strict=False), kind
            )
            different = both.filter(differs)
            if not different.is_empty():
                raise self._error(name, different.row(0, named=True))

    def _error(self, name: str, row: dict[str, Any]) -> FeatureError:
        *ids, time, event_id = (row[column] for column in sort_columns(self.record))
        entity = ", ".join(f"{name} {value}" for name, value in zip(self._entity, ids, strict=True))
        return FeatureError(
            f"View {self.view.name} looks ahead: {name} of {entity} is {row[name]} after event"
            f" {event_id} of {time}, and {row[f'{name}{_AGAIN}']} if later events and other entities are left out."
            f" Compute it from the entity's events up to each event:"
            f" .over({self.record.entity!r}, order_by={self.view.order!r}), without shift(-1) and without totals,"
            " means or ranks over all rows."
        )


def _evenly_spaced(entities: pl.DataFrame, wanted: int) -> pl.DataFrame:
    if entities.height <= wanted:
        return entities
    step = entities.height / max(wanted, 1)
    return entities[[int(index * step) for index in range(wanted)]]


def _differ(a: pl.Expr, b: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Whether two values differ: missing is equal to missing, floats are equal within the tolerance."""
    if not kind.is_float():
        return a.ne_missing(b)
    scale = pl.max_horizontal(a.abs(), b.abs(), pl.lit(1.0))
    is_close = ((a - b).abs() <= _TOLERANCE * scale) | (a == b)
    return (a.is_null() != b.is_null()) | ~is_close.fill_null(value=True)


def _read_states(path: Path, record: ViewRecord, times: Sequence[str]) -> pl.DataFrame:
    raw = pl.read_parquet(path / "*.parquet" if path.is_dir() else path)
    return normalise_states(raw.select(state_columns(record)), record, times)
