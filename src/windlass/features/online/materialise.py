"""Bringing an online store up to a snapshot: parts are read, written in batches, and marked as they are done."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from windlass.core.feature_view import ViewRecord
from windlass.errors import FeatureError
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.snapshot import COMPUTED_AT
from windlass.features.online.store import Freshness, MaterialisationProgress, OnlineStore

BATCH = 250_000  # rows that are written at once

ProgressCallback = Callable[[float, str], None]


class SnapshotInfo(Protocol):
    """What a materialisation wants to know of a snapshot."""

    @property
    def number(self) -> int:
        """From 1."""
        ...

    @property
    def created(self) -> float:
        """When it was made, epoch seconds."""
        ...

    @property
    def view(self) -> str:
        """The version of the view that computed it."""
        ...

    @property
    def folder(self) -> Path:
        """Where it lies in its offline store."""
        ...


@dataclass(frozen=True)
class MaterialisationResult:
    """What a materialisation did. `resumed` parts had been written by one that was broken off.

    Of `rows` that were read, `written` were new or newer than what the store held.
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
    snapshot: SnapshotInfo,
    progress: ProgressCallback,
    batch: int = BATCH,
) -> MaterialisationResult:
    """Write the `latest` parts of a snapshot to the store, and then keep that it is fresh.

    Leaves out who was erased. Goes on where a materialisation of the same snapshot was broken off. `progress` is
    told the share that is done, from 0 to 1, and what is being done. Raises FeatureError for parts that cannot be
    read or kept, StorageError where the store fails; what was written stays, and the next run goes on from there.
    """
    run = _BatchedWriter(store, record, _resume_point(store, snapshot))
    erased = ErasedEntities.of_snapshot(snapshot.folder)
    resumed = run.progress.parts
    todo = [part for part in sorted(parts) if part.name > run.progress.last]
    for place, part in enumerate(todo, resumed + 1):
        progress((place - 1) / len(parts), f"part {place} of {len(parts)}")
        for rows in _read(part, record, batch, erased):
            if run.buffered >= batch:
                run.write()
            run.add(rows)
        run.end_part(part)
        if run.buffered >= batch or part == todo[-1]:
            run.write()
    fresh = store.finish(run.progress)
    progress(1.0, f"{run.rows:,} entities")
    return MaterialisationResult(fresh, len(parts), resumed, run.rows, run.written)


def _resume_point(store: OnlineStore, snapshot: SnapshotInfo) -> MaterialisationProgress:
    fresh = store.freshness()
    if fresh is not None and fresh.snapshot > snapshot.number and fresh.created < snapshot.created:
        raise FeatureError(
            f"The online store holds snapshot {fresh.snapshot}, which is older than snapshot {snapshot.number}: the"
            " offline store was begun anew. Empty the online store (docs/online.md), then materialise again."
        )
    begun = store.progress(snapshot.number)
    if begun is not None and (begun.created, begun.view) == (snapshot.created, snapshot.view):
        return begun
    return MaterialisationProgress(
        snapshot=snapshot.number, created=snapshot.created, view=snapshot.view
    )


@dataclass(frozen=True)
class _PartRows:
    """Rows of a part, and which file it was."""

    part: Path
    file: tuple[int, int]
    batch: pa.RecordBatch


class _BatchedWriter:
    """What is read and not written yet, and how far all of it has come."""

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
        """Take rows to be written."""
        self._buffer.append(rows)
        self.buffered += len(rows.batch)

    def end_part(self, part: Path) -> None:
        """Say that all rows of a part are taken."""
        self._next_progress = self._next_progress.model_copy(
            update={"parts": self._next_progress.parts + 1, "last": part.name}
        )

    def write(self) -> None:
        """Write what is held, and mark the parts that are done with it."""
        if self._buffer:
            table = pa.Table.from_batches([rows.batch for rows in self._buffer])
            self.rows += len(table)
            self.written += self._store.write(table, self.progress.snapshot, self.progress.view)
            self._erase_again()
            newest = pc.max(table[self._record.timestamp]).as_py()
            self._next_progress = self._next_progress.model_copy(
                update={"newest": _later(self._next_progress.newest, newest)}
            )
        self._buffer, self.buffered = [], 0
        if self._next_progress.parts > self.progress.parts:
            self._store.save_progress(self._next_progress)
        self.progress = self._next_progress

    def _erase_again(self) -> None:
        """Erasing replaces a part and then erases online: what was read before that must not stay behind it."""
        for rows in self._buffer:
            with _translate_read_errors(rows.part):
                if _file_identity(rows.part.stat()) == rows.file:
                    continue
                left = pq.read_table(rows.part, columns=[self._record.entity])
            read = rows.batch[self._record.entity]
            is_left = pc.is_in(read, value_set=left[self._record.entity].combine_chunks())
            for entity in read.filter(pc.invert(is_left)).to_pylist():
                self._store.erase(entity)


def _read(
    part: Path, record: ViewRecord, batch: int, erased: ErasedEntities
) -> Iterator[_PartRows]:
    wanted = (record.entity, record.timestamp, COMPUTED_AT, *record.stored_columns)
    with _translate_read_errors(part), part.open("rb") as file:
        source = pq.ParquetFile(file)
        there = set(source.schema_arrow.names)
        columns = [name for name in dict.fromkeys(wanted) if name in there]
        identity = _file_identity(os.fstat(file.fileno()))
        for rows in source.iter_batches(batch_size=batch, columns=columns):
            yield _PartRows(part, identity, _drop_erased(erased, record.entity, rows))


def _drop_erased(erased: ErasedEntities, entity: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    gone = erased.erased_in(pl.Series(rows[entity]))
    return (
        rows.filter(pc.invert(pc.is_in(rows[entity], value_set=pa.array(gone)))) if gone else rows
    )


def _file_identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


def _later(one: date | None, other: date | None) -> date | None:
    return max((day for day in (one, other) if day is not None), default=None)


@contextmanager
def _translate_read_errors(part: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise FeatureError(
            f"Part {part} of the offline store cannot be read: {error}. Build the features again."
        ) from error
