"""Ingests a raw file: checks every row, writes good rows to buckets and the others to quarantine."""

from dataclasses import dataclass
from pathlib import Path
from shutil import move
from tempfile import TemporaryDirectory

import polars as pl

from windlass.core.atomic_files import translate_disk_errors
from windlass.core.feature_view import FeatureView
from windlass.core.progress import ProgressCallback
from windlass.errors import FeatureError
from windlass.features.engines.duckdb import (
    duckdb_connection,
    translate_duckdb_errors,
)
from windlass.features.ingest.bucket_writer import BucketWriter
from windlass.features.ingest.casting import FAULT_SCHEMA
from windlass.features.ingest.contract import Contract
from windlass.features.ingest.key_checks import changed_entities, duplicate_rows
from windlass.features.ingest.quality import DUPLICATE, QualityReport, check_batch
from windlass.features.ingest.quarantine import Quarantine
from windlass.features.ingest.raw_files import RawFile
from windlass.features.offline.erasure import ErasedEntities


@dataclass(frozen=True)
class RawFileIngest:
    """Ingests one raw file. `stored` are the event parts of the snapshot that it is appended to."""

    view: FeatureView
    contract: Contract
    raw: RawFile
    bucket_writer: BucketWriter
    quarantine: Quarantine
    stored: list[Path]

    def read(self, progress: ProgressCallback) -> None:
        """Check every row. Raises FeatureError where the file lacks columns or cannot be read."""
        missing_columns = self.contract.missing_columns(self.raw.columns)
        if missing_columns:
            several = len(missing_columns) > 1
            raise FeatureError(
                f"{self.raw.path} lacks the column{'s' * several} {', '.join(missing_columns)}, which the contract of"
                f" view {self.view.name} asks for. Name a file that has {'them' if several else 'it'}, or declare what"
                " may be absent with required=False."
            )
        report = self.quarantine.report
        report.ignored_columns = tuple(n for n in self.raw.columns if n not in self.contract.dtypes)
        with self.bucket_writer:
            for batch in self.raw.batches():
                checked = check_batch(self.contract, batch)
                self.quarantine.add(batch.cells, batch.rows, checked.faults)
                self.quarantine.add_broken(batch.broken)
                report.rows += batch.cells.height + len(batch.broken)
                report.warnings.update(checked.warnings)
                self.bucket_writer.add(checked.good, checked.rows)
                progress(batch.share, f"checking rows: {report.rows:,} read")

    def quarantine_duplicates(self, connection: object) -> pl.Series:
        """Quarantines the rows whose key is stored, or stands earlier in the file; returns their numbers."""
        with translate_duckdb_errors(f"compare the keys of {self.raw.path}"):
            rows = duplicate_rows(
                connection, self.bucket_writer.keys_file, self.view.event_id, self.stored
            )
        if len(rows):
            reason = f"{self.view.event_id}: {DUPLICATE}"
            for batch in self.raw.batches():
                positions = batch.rows.is_in(rows.implode()).arg_true()
                reasons = pl.DataFrame(
                    {"row": positions, "column": self.view.event_id, "reason": reason},
                    schema=FAULT_SCHEMA,
                )
                self.quarantine.add(batch.cells, batch.rows, reasons)
        return rows

    def count_changed_entities(self, connection: object, duplicates: pl.Series) -> None:
        """Counts the entities that have several values of a constant column; their rows stay.

        `duplicates` are the numbers of the rows that are in quarantine for their key.
        """
        if not self.contract.constant_columns:
            return
        constant = [
            name for name in self.contract.constant_columns if name not in self.view.entity_columns
        ]
        with translate_duckdb_errors(f"compare the entities of {self.raw.path}"):
            counts = changed_entities(
                connection,
                self.bucket_writer.keys_file,
                self.view.entity_columns,
                constant,
                self.stored,
                duplicates,
            )
        for name, changed in counts.items():
            self.quarantine.report.add_changed(
                f"{name}: several for one {', '.join(self.view.entity_columns)}", *changed
            )


def check_raw_file(
    view: FeatureView,
    file: Path,
    memory: str,
    quarantine_file: Path | None,
    progress: ProgressCallback,
) -> QualityReport:
    """Reports how many rows of a raw file pass, and why the others fail; these go to the Parquet `quarantine_file`.

    Raises FeatureError where the file cannot be read or lacks columns.
    """
    target = quarantine_file or file
    with (
        translate_disk_errors(FeatureError, "Features cannot be written", target),
        TemporaryDirectory() as temporary,
        duckdb_connection(memory, Path(temporary)) as connection,
    ):
        folder = Path(temporary)
        contract = Contract.from_view(view)
        table = folder / "quarantine.parquet"
        nothing_erased = ErasedEntities.read(folder)
        with Quarantine(table, file.name, view.entity_columns, nothing_erased) as quarantine:
            bucket_writer = BucketWriter(folder, 1, view, contract)
            ingest = RawFileIngest(
                view, contract, RawFile.open(file), bucket_writer, quarantine, []
            )
            ingest.read(progress)
            ingest.count_changed_entities(connection, ingest.quarantine_duplicates(connection))
        if quarantine_file is not None:
            move(table, quarantine_file)
        return quarantine.report
