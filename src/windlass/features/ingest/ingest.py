"""Taking a raw file in: every row judged, the good ones dealt out to buckets, the others put in quarantine."""

from dataclasses import dataclass
from pathlib import Path
from shutil import move
from tempfile import TemporaryDirectory

import polars as pl

from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError
from windlass.features.engines.duckdb import ProgressCallback, check_memory, duckdb_connection
from windlass.features.ingest.bucket_writer import BucketWriter
from windlass.features.ingest.casting import FAULT_SCHEMA
from windlass.features.ingest.contract import Contract
from windlass.features.ingest.key_checks import changed_entities, duplicate_rows
from windlass.features.ingest.quality import DUPLICATE, QualityReport, check_batch
from windlass.features.ingest.quarantine import Quarantine
from windlass.features.ingest.raw_files import RawFile
from windlass.features.io_errors import translate_disk_errors, translate_duckdb_errors
from windlass.features.offline.erasure import ErasedEntities


@dataclass(frozen=True)
class RawFileIngest:
    """How a raw file is taken in: by which contract, to where, and with what is stored already."""

    view: FeatureView
    contract: Contract
    raw: RawFile
    bucket_writer: BucketWriter
    quarantine: Quarantine
    stored: list[Path]

    def read(self, progress: ProgressCallback) -> None:
        """Judge every row. Raises FeatureError where the file lacks columns or cannot be read."""
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
                progress(batch.share, f"judging rows: {report.rows:,} read")

    def quarantine_duplicates(self, connection: object) -> pl.Series:
        """Quarantine the rows whose key is stored or stood before, and return their numbers."""
        with translate_duckdb_errors(f"compare the keys of {self.raw.path}"):
            rows = duplicate_rows(
                connection, self.bucket_writer.keys, self.view.event_id, self.stored
            )
        if len(rows):
            reason = f"{self.view.event_id}: {DUPLICATE}"
            for batch in self.raw.batches():
                found = batch.rows.is_in(rows.implode()).arg_true()
                reasons = pl.DataFrame(
                    {"row": found, "column": self.view.event_id, "reason": reason},
                    schema=FAULT_SCHEMA,
                )
                self.quarantine.add(batch.cells, batch.rows, reasons)
        return rows

    def count_changed_entities(self, connection: object, duplicates: pl.Series) -> None:
        """Count the entities that have several values of a column that is constant of each; these rows stay.

        `doubled` are the numbers of the rows that went to quarantine for their key.
        """
        if not self.contract.constant_columns:
            return
        columns = [self.view.entity, *self.contract.constant_columns]
        with translate_duckdb_errors(f"compare the entities of {self.raw.path}"):
            found = changed_entities(
                connection, self.bucket_writer.keys, columns, self.stored, duplicates
            )
        for name, changed in found.items():
            self.quarantine.report.add_changed(
                f"{name}: several for one {self.view.entity}", *changed
            )


def check_raw_file(
    view: FeatureView, file: Path, memory: str, kept: Path | None, progress: ProgressCallback
) -> QualityReport:
    """How many rows of a raw file pass, and why the others do not; these go to the Parquet file `kept`.

    Raises FeatureError where the file cannot be read or lacks columns.
    """
    check_memory(memory)
    with translate_disk_errors(kept or file), TemporaryDirectory() as place:
        folder = Path(place)
        contract = Contract.of(view)
        table = folder / "quarantine.parquet"
        nobody = ErasedEntities.read(folder)
        with Quarantine(table, file.name, view.entity, nobody) as quarantine:
            bucket_writer = BucketWriter(folder, 1, view, contract)
            ingest = RawFileIngest(
                view, contract, RawFile.open(file), bucket_writer, quarantine, []
            )
            ingest.read(progress)
            with duckdb_connection(memory, folder) as connection:
                ingest.count_changed_entities(connection, ingest.quarantine_duplicates(connection))
        if kept is not None:
            move(table, kept)
        return quarantine.report
