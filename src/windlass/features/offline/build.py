"""Builds a snapshot from a raw file, atomically: ingests events, computes states, publishes.

With `append` the file's rows are added to the current snapshot's, and only entities with new rows are computed again.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.progress import ProgressCallback
from windlass.errors import FeatureError, counted
from windlass.features.engines.duckdb import (
    DuckDBEngine,
    FeatureEngine,
    duckdb_connection,
)
from windlass.features.ingest.bucket_writer import BucketWriter
from windlass.features.ingest.contract import Contract
from windlass.features.ingest.ingest import RawFileIngest
from windlass.features.ingest.quality import QualityReport
from windlass.features.ingest.quarantine import Quarantine
from windlass.features.ingest.raw_files import RawFile
from windlass.features.offline.erasure import ErasedEntities
from windlass.features.offline.parts import RESERVED_PREFIX, bucket_count
from windlass.features.offline.snapshot import (
    BEFORE_EVENT,
    COMPUTED_AT,
    EVENTS,
    LATEST,
    QUARANTINE,
    RECENT_EVENTS,
    STATES,
    Snapshot,
)
from windlass.features.offline.snapshot_builder import SnapshotBuilder
from windlass.features.offline.store import REJECTED, OfflineStore
from windlass.features.offline.windows import check_window_columns


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build. `memory` is DuckDB's limit, `master` Spark's address; without `buckets` they fit the file.

    `parquet_rows` are read from the raw file at a time.
    """

    engine: Literal["duckdb", "spark"] = "duckdb"
    append: bool = False
    memory: str = "2GB"
    master: str | None = None
    buckets: int | None = None
    parquet_rows: int = RawFile.parquet_rows


def build(
    view: FeatureView,
    record: ViewRecord,
    store: OfflineStore,
    file: Path,
    options: BuildOptions,
    progress: ProgressCallback,
) -> Snapshot:
    """Builds the next snapshot from a raw file, CSV or Parquet, and makes it the current one.

    Raises QualityError where too many rows break the contract, else FeatureError; the current snapshot then
    stays the current one.
    """
    with (
        store.write_lock() as staging,
        duckdb_connection(options.memory, staging) as connection,
    ):
        parent = _verify(store.current()) if options.append else None
        raw = replace(RawFile.open(file), parquet_rows=options.parquet_rows)
        contract = Contract.from_view(view)
        _check_reserved_names(record)
        has_times = contract.stored_dtypes[view.timestamp] == pl.Datetime
        check_window_columns(record, contract.stored_dtypes, has_times=has_times)
        _check_same_columns(contract, parent)
        buckets = parent.buckets if parent else options.buckets or bucket_count(raw.estimated_rows)
        folder = _create_folders(staging)
        erased = ErasedEntities.read(store.folder)
        number = store.next_number()
        table = folder / QUARANTINE / f"part-{number:06}.parquet"
        with Quarantine(table, file.name, view.entity_columns, erased) as quarantine:
            bucket_writer = BucketWriter(staging, buckets, view, contract)
            stored = parent.event_parts() if parent else []
            ingest = RawFileIngest(view, contract, raw, bucket_writer, quarantine, stored)
            duplicates = _ingest(ingest, connection, progress)
        report = quarantine.report
        _check_quality(report, view, table, store)
        if parent is None and report.rows == 0:
            raise FeatureError(f"{file} has no rows. Name a file that has.")
        builder = SnapshotBuilder(view, record, parent, folder, staging, bucket_writer)
        with _engine(options, connection) as engine:
            built = builder.build(engine, duplicates, erased, _scale_progress(0.55, progress))
        report.erased += built.erased
        snapshot = Snapshot(
            number=number,
            view=record.version,
            created=time.time(),
            parent=parent.number if parent else None,
            buckets=buckets,
            order=(*view.entity_columns, view.timestamp, view.event_id),
            entity_types=contract.entity_types,
            quality=report.to_json(file.name),
            **built.metadata(),
        )
        progress(
            1.0,
            f"snapshot {number} of {counted(built.events, 'event')}, {counted(built.entities, 'entity')}",
        )
        return store.publish(folder, snapshot)


def _ingest(ingest: RawFileIngest, connection: Any, progress: ProgressCallback) -> pl.Series:
    """Ingests the raw file; returns the numbers of the rows with duplicate keys."""
    progress(0.0, f"reading {ingest.raw.path.name}")
    ingest.read(lambda share, message: progress(share / 2, message))
    progress(0.5, "looking for duplicate keys")
    duplicates = ingest.quarantine_duplicates(connection)
    ingest.count_changed_entities(connection, duplicates)
    return duplicates


def _verify(parent: Snapshot | None) -> Snapshot | None:
    """Returns the snapshot to append to, after every part is verified."""
    if parent is not None:
        for kind in (EVENTS, STATES, LATEST):
            parent.verified_parts(kind)
    return parent


def _create_folders(staging: Path) -> Path:
    folder = staging / "snapshot"
    for name in (EVENTS, STATES, LATEST, QUARANTINE):
        (folder / name).mkdir(parents=True)
    return folder


def _check_reserved_names(record: ViewRecord) -> None:
    """Raise FeatureError for features or stored columns with the name of another column of a state."""
    reserved = (
        *record.entity_columns,
        record.timestamp,
        record.event_id,
        COMPUTED_AT,
        BEFORE_EVENT,
        RECENT_EVENTS,
    )
    for name in dict.fromkeys([*record.features, *record.stored_columns]):
        if name in reserved or name.startswith(RESERVED_PREFIX):
            raise FeatureError(
                f"View {record.name} keeps a column {name}, and a state has a column of that name already. Have the"
                " transform give it another name."
            )


def _check_same_columns(contract: Contract, parent: Snapshot | None) -> None:
    if parent is None:
        return
    stored = pl.read_parquet_schema(parent.event_parts()[0])
    if (
        dict(stored) != dict(contract.stored_dtypes)
        or parent.entity_types != contract.entity_types
        or parent.order != contract.order
    ):
        raise FeatureError(
            f"The contract asks for other columns than snapshot {parent.number} holds."
            " Build again from all rows, without --append."
        )


def _check_quality(
    report: QualityReport, view: FeatureView, table: Path, store: OfflineStore
) -> None:
    """Raise QualityError where quality is too low; the quarantine is then moved beside the snapshots."""
    rejected = store.folder / REJECTED
    if report.share > view.max_invalid_share:
        table.replace(rejected)
    report.check(view.max_invalid_share, str(rejected))


def _engine(options: BuildOptions, connection: Any) -> FeatureEngine:
    if options.engine == "spark":
        from windlass.features.engines.spark import SparkEngine

        return SparkEngine(options.master)
    return DuckDBEngine(connection)


def _scale_progress(start: float, progress: ProgressCallback) -> ProgressCallback:
    return lambda share, message: progress(start + share * (0.98 - start), message)
