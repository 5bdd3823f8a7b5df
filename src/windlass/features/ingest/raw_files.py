"""Reads raw files, CSV or Parquet, in batches of bounded memory; cells stay as the file has them.

Cells of a CSV file are bytes, of a Parquet file of its types. `casting` gives them the contract's types.
A CSV file has one record a line: a line end inside quotes ends the record too, and such a line is broken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from windlass.errors import FeatureError, InputError
from windlass.tables.csv_reader import (
    BrokenLine,
    BrokenLines,
    CsvReader,
    CsvReadOptions,
    RowNumbers,
    require_unique,
)

_BYTES_PER_ROW = 150  # of a CSV file, to estimate how many rows it has


@dataclass(frozen=True)
class RawBatch:
    """Batch of n rows of a raw file. `rows` [n] are their numbers in the file, from 1, the header not counted.

    `broken` are lines that have too many or too few cells, or leave a quote open; their `row` counts from 0.
    `share` is how much of the file has been read, 0 to 1.
    """

    rows: pl.Series
    cells: pl.DataFrame
    broken: list[BrokenLine]
    share: float


@dataclass(frozen=True)
class RawFile:
    """Raw file: its column names, and an estimate of its number of rows."""

    path: Path
    columns: tuple[str, ...]
    estimated_rows: int
    csv_block: int = 32 << 20  # bytes of CSV that are parsed at a time
    parquet_rows: int = 1 << 18  # rows of Parquet that are read at a time

    @staticmethod
    def open(path: Path) -> "RawFile":
        """Read the columns of a file that ends in .csv or .parquet. Raises FeatureError."""
        with _translate_read_errors(path):
            if path.suffix.lower() == ".parquet":
                with pq.ParquetFile(path) as file:
                    require_unique(str(path), file.schema_arrow.names)
                    _check_types(path, file.schema_arrow)
                    names, rows = file.schema_arrow.names, file.metadata.num_rows
                return RawFile(path, tuple(names), rows)
            if path.suffix.lower() == ".csv":
                with path.open("rb") as raw:
                    names = _csv_reader(raw, path, RawFile.csv_block, BrokenLines()).schema.names
                return RawFile(path, tuple(names), path.stat().st_size // _BYTES_PER_ROW)
        raise FeatureError(
            f"{path} is neither CSV nor Parquet. Name a file that ends in .csv or .parquet."
        )

    def batches(self) -> Iterator[RawBatch]:
        """All rows, in their order. Raises FeatureError where the file cannot be read on."""
        with _translate_read_errors(self.path):
            is_parquet = self.path.suffix.lower() == ".parquet"
            yield from self._read_parquet() if is_parquet else self._read_csv()

    def _read_parquet(self) -> Iterator[RawBatch]:
        with pq.ParquetFile(self.path) as file:
            done = 0
            for batch in file.iter_batches(self.parquet_rows):
                rows = pl.int_range(done + 1, done + 1 + batch.num_rows, eager=True)
                done += batch.num_rows
                cells = pl.DataFrame(pl.from_arrow(batch))
                yield RawBatch(rows, cells, [], done / file.metadata.num_rows)

    def _read_csv(self) -> Iterator[RawBatch]:
        broken, numbers = BrokenLines(), RowNumbers()
        with self.path.open("rb") as file:
            reader = _csv_reader(file, self.path, self.csv_block, broken)
            for batch in reader:
                lines = broken.take()
                rows = pl.Series(numbers.take(batch.num_rows, lines) + 1, dtype=pl.Int64)
                cells = pl.DataFrame(pl.from_arrow(batch))
                yield RawBatch(rows, cells, lines, reader.share)
        if lines := broken.take():
            cells = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.Binary))
            yield RawBatch(pl.Series([], dtype=pl.Int64), cells, lines, 1.0)


def _csv_reader(file: BinaryIO, path: Path, block: int, broken: BrokenLines) -> CsvReader:
    return CsvReader(file, str(path), CsvReadOptions(block, line_per_record=True), broken.add)


def _check_types(path: Path, schema: pa.Schema) -> None:
    """Raise FeatureError for a type that polars lacks, such as an unknown time zone or a decimal of 256 bits."""
    for name, column in zip(schema.names, schema.empty_table().columns, strict=True):
        try:
            readable = "decimal256" not in str(column.type) and pl.from_arrow(column) is not None
        except pl.exceptions.PolarsError:
            readable = False
        if not readable:
            raise FeatureError(
                f"{path} has the column {name!r} of the type {column.type}, which cannot be read. Write it as another,"
                " such as dates, text, or times in a zone with a name (Asia/Kolkata)."
            )


@contextmanager
def _translate_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise FeatureError(str(error)) from error
    except FileNotFoundError as error:
        raise FeatureError(f"There is no file {path}. Look its name up.") from error
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise FeatureError(
            f"{path} cannot be read: {line}. Check that it is complete, and that its name has the right ending."
        ) from error
