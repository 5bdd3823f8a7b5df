"""Materialises a snapshot in an online store: writes its parts in batches, and saves the progress."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from windlass.core.feature_view import ViewRecord
from windlass.core.on_demand import day_of
from windlass.core.progress import ProgressCallback
from windlass.errors import FeatureError, counted
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.parts import (
    RESERVED_PREFIX,
    has_before_event,
    read_parts,
    rows_without,
)
from windlass.features.offline.snapshot import (
    BEFORE_EVENT,
    COMPUTED_AT,
    RECENT_EVENTS,
    Snapshot,
)
from windlass.features.online.store import Freshness, MaterialisationProgress, OnlineStore

_ROW = f"{RESERVED_PREFIX}row"
BATCH = 250_000  # rows that are written in one call


@dataclass(frozen=True)
class MaterialisationResult:
    """Result of a materialisation. `resumed` of `parts` had been written by an interrupted one.

    Of `rows` that were read, `written` were new or newer than the stored rows.
    """

    freshness: Freshness
    parts: int
    resumed: int
    rows: int
    written: int


def materialise(
    store: OnlineStore,
    record: ViewRecord,
    parts: Sequence[Path],
    snapshot: Snapshot,
    progress: ProgressCallback,
    batch: int = BATCH,
) -> MaterialisationResult:
    """Writes the `latest` parts of a snapshot to the store, then saves its freshness.

    Erased entities are left out. An interrupted materialisation of the same snapshot is resumed. `progress` is called
    with the share that is done, from 0 to 1, and what is being done. Raises FeatureError for parts that cannot be
    read or stored, StorageError where the store fails; what was written stays, and the next run resumes there.
    """
    start = _resume_point(store, record, snapshot, parts)
    if record.serves == "latest" and not start.before_event:
        raise FeatureError(
            f"Snapshot {snapshot.number} was built by an earlier version of Windlass, without the features before the"
            f" latest event, which view {record.name} serves. Build a new one with `windlass features build`."
        )
    writer = _BatchedWriter(store, record, start)
    erased = ErasedEntities.of_snapshot(snapshot.folder)
    resumed = writer.progress.parts
    todo = [part for part in sorted(parts) if part.name > writer.progress.last]
    for number, part in enumerate(todo, resumed + 1):
        progress((number - 1) / len(parts), f"part {number} of {len(parts)}")
        for rows in _read(part, record, batch, erased):
            if writer.buffered >= batch:
                writer.write()
            writer.add(rows)
        writer.end_part(part)
        if writer.buffered >= batch or part == todo[-1]:
            writer.write()
    freshness = store.finish(writer.progress)
    progress(1.0, counted(writer.rows, "entity"))
    return MaterialisationResult(freshness, len(parts), resumed, writer.rows, writer.written)


def _resume_point(
    store: OnlineStore, record: ViewRecord, snapshot: Snapshot, parts: Sequence[Path]
) -> MaterialisationProgress:
    newest = store.freshness()
    if newest and newest.snapshot > snapshot.number and newest.created < snapshot.created:
        raise FeatureError(
            f"The online store holds snapshot {newest.snapshot}, which is older than snapshot {snapshot.number}: the"
            " offline store was started again. Add --replace to empty the online store first."
        )
    kinds = [pl.read_parquet_schema(part)[record.timestamp] for part in parts[:1]]
    start = MaterialisationProgress(
        snapshot=snapshot.number,
        created=snapshot.created,
        view=snapshot.view,
        before_event=has_before_event(parts),
        entity_columns=record.entity_columns,
        entity_types=snapshot.entity_types,
        has_times=pl.Datetime in kinds,
    )
    if newest and newest.identity != start.identity:
        raise FeatureError(
            f"The online store holds entities of {newest.describe()}, and snapshot {snapshot.number} those of"
            f" {start.describe()}. Add --replace to empty the online store first."
        )
    saved = store.progress(snapshot.number)
    if saved and (saved.created, saved.view) == (snapshot.created, snapshot.view):
        return saved
    return start


@dataclass(frozen=True)
class _PartRows:
    """Batch of rows of a part. `file` identifies the file that was read."""

    part: Path
    file: tuple[int, int]
    batch: pa.RecordBatch


class _BatchedWriter:
    """Writes rows to the store in batches. `progress` is what was saved last."""

    def __init__(
        self, store: OnlineStore, record: ViewRecord, progress: MaterialisationProgress
    ) -> None:
        self.progress = progress
        self.buffered = 0
        self.rows = 0
        self.written = 0
        self._store = store
        self._record = record
        self._buffer: list[_PartRows] = []
        self._next_progress = progress

    def add(self, rows: _PartRows) -> None:
        """Buffer rows to be written."""
        self._buffer.append(rows)
        self.buffered += len(rows.batch)

    def end_part(self, part: Path) -> None:
        """Note that all rows of a part are buffered."""
        self._next_progress = self._next_progress.model_copy(
            update={"parts": self._next_progress.parts + 1, "last": part.name}
        )

    def write(self) -> None:
        """Write the buffered rows, and save the progress where parts are finished."""
        if self._buffer:
            table = pa.Table.from_batches([rows.batch for rows in self._buffer])
            self.rows += len(table)
            self.written += self._store.write(table, self.progress.snapshot, self.progress.view)
            self._erase_again()
            latest = pc.max(table[self._record.timestamp]).as_py()
            days = self._next_progress.newest, None if latest is None else day_of(latest)
            newest = max((day for day in days if day is not None), default=None)
            self._next_progress = self._next_progress.model_copy(update={"newest": newest})
        self._buffer, self.buffered = [], 0
        if self._next_progress.parts > self.progress.parts:
            self._store.save_progress(self._next_progress)
        self.progress = self._next_progress

    def _erase_again(self) -> None:
        """Erase again what an erasure took out of a part after it was read: it may have been online before."""
        for rows in self._buffer:
            with _translate_read_errors(rows.part):
                if _file_identity(rows.part.stat()) == rows.file:
                    continue
                remaining = read_parts([rows.part], self._record.entity_columns)
            read = pl.DataFrame(pl.from_arrow(rows.batch)).select(self._record.entity_columns)
            for entity in rows_without(read, remaining).iter_rows():
                self._store.erase(entity if len(entity) > 1 else entity[0])


def _read(
    part: Path, record: ViewRecord, batch: int, erased: ErasedEntities
) -> Iterator[_PartRows]:
    wanted = (
        *record.entity_columns,
        record.timestamp,
        COMPUTED_AT,
        *record.stored_columns,
        BEFORE_EVENT,
        RECENT_EVENTS,
    )
    with _translate_read_errors(part), part.open("rb") as file:
        source = pq.ParquetFile(file)
        available = set(source.schema_arrow.names)
        columns = [name for name in dict.fromkeys(wanted) if name in available]
        identity = _file_identity(os.fstat(file.fileno()))
        for rows in source.iter_batches(batch_size=batch, columns=columns):
            yield _PartRows(part, identity, _drop_erased(erased, record, rows))


def _drop_erased(
    erased: ErasedEntities, record: ViewRecord, rows: pa.RecordBatch
) -> pa.RecordBatch:
    entities = pl.DataFrame(pl.from_arrow(rows.select(record.entity_columns)))
    gone = erased.erased_in(entities)
    if not gone.height:
        return rows
    stays = rows_without(entities.with_row_index(_ROW), gone)[_ROW]
    return rows.take(stays.to_arrow())


def _file_identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


@contextmanager
def _translate_read_errors(part: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise FeatureError(
            f"Part {part} of the offline store cannot be read: {error}. Build the features again."
        ) from error
