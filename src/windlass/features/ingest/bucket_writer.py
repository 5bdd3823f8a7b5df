"""Partitions good rows by entity into files on disk, so that one bucket at a time fits into memory."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from windlass.core.feature_view import FeatureView
from windlass.features.ingest.contract import Contract
from windlass.features.offline.parts import BUCKET, RESERVED_PREFIX, bucket_of

ROW = f"{RESERVED_PREFIX}row{RESERVED_PREFIX}"  # the number of the row in the raw file, until duplicate keys are found


class BucketWriter:
    """Writes the good rows of a raw file below a folder, one file for each bucket of entities.

    The file `keys_file` has every row's number, key, entity and constant columns, over all buckets. `dtypes` are
    those of a snapshot.
    """

    def __init__(self, folder: Path, buckets: int, view: FeatureView, contract: Contract) -> None:
        self.keys_file = folder / "keys.parquet"
        self.buckets = buckets
        self._folder = folder
        self.dtypes = contract.stored_dtypes
        self._entity = view.entity_columns
        self._key_columns = list(
            dict.fromkeys([view.event_id, *view.entity_columns, *contract.constant_columns, ROW])
        )
        self._writers: dict[int, Any] = {}
        self._key_writer: Any = None

    def __enter__(self) -> "BucketWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in [*self._writers.values(), self._key_writer]:
            if writer is not None:
                writer.close()

    def add(self, frame: pl.DataFrame, rows: pl.Series) -> None:
        """Write rows to the buckets of their entities; `rows` [n] are their numbers in the file."""
        numbered = frame.with_columns(
            rows.alias(ROW), bucket_of(frame.select(self._entity), self.buckets)
        )
        keys = numbered.select(self._key_columns).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._key_writer is None:
            self._key_writer = pq.ParquetWriter(self.keys_file, keys.schema)
        self._key_writer.write_table(keys)
        for (bucket,), part in numbered.partition_by(
            BUCKET, as_dict=True, include_key=False
        ).items():
            self._write(int(bucket), part)

    def read(self, bucket: int) -> pl.DataFrame | None:
        """Returns the rows of a bucket in the order of the file, with their numbers; None where it has none."""
        path = self._path(bucket)
        if not path.exists():
            return None
        with pa.memory_map(str(path)) as file:
            return pl.DataFrame(pl.from_arrow(pa.ipc.open_stream(file).read_all(), rechunk=True))

    def drop(self, bucket: int) -> None:
        """Delete the file of a bucket that was read."""
        self._path(bucket).unlink(missing_ok=True)

    def _write(self, bucket: int, part: pl.DataFrame) -> None:
        table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
        if bucket not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[bucket] = pa.ipc.new_stream(
                str(self._path(bucket)), table.schema, options=options
            )
        self._writers[bucket].write_table(table)

    def _path(self, bucket: int) -> Path:
        return self._folder / f"bucket-{bucket:03}.arrows"
