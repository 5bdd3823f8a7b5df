"""Raw files: CSV or Parquet, read in batches of bounded memory, cell by cell as they stand there.

Cells of a CSV file are bytes, of a Parquet file what it says. What they ought to be is for `typed` to judge.
A CSV file has one record a line: a line's end inside quotes ends the record too, and such a line is broken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from windlass.errors import FeatureError
from windlass.features.ingest.csv_lines import SanitisingCsvReader, leaves_quote_open

_BLOCK = 32 << 20  # bytes of CSV that are read at once
_ROWS = 1 << 18  # rows of Parquet that are read at once
_BYTES_A_ROW = 150  # of a CSV file, to guess how many rows it has


@dataclass(frozen=True)
class RawBatch:
    """Some n rows of a raw file. `rows` [n] are their numbers in the file, from 1, a heading not counted.

    `broken` are lines that have too many or too few cells, or leave a quote open: their numbers and texts.
    `share` says how much of the file has been read.
    """

    rows: pl.Series
    cells: pl.DataFrame
    broken: list[tuple[int, str]]
    share: float


@dataclass(frozen=True)
class RawFile:
    """A raw file: its column names, and about how many rows it has."""

    path: Path
    columns: tuple[str, ...]
    estimated_rows: int

    @staticmethod
    def open(path: Path) -> "RawFile":
        """Look at a file that ends in .csv or .parquet. Raises FeatureError."""
        with _translate_read_errors(path):
            if path.suffix.lower() == ".parquet":
                with pq.ParquetFile(path) as file:
                    names = _require_unique(path, file.schema_arrow.names)
                    _check_types(path, file.schema_arrow)
                    return RawFile(path, names, file.metadata.num_rows)
            if path.suffix.lower() == ".csv":
                _check_heading(path)
                with _csv(path, (), _BrokenLines()) as reader:
                    names = _require_unique(path, reader.schema.names)
                return RawFile(path, names, path.stat().st_size // _BYTES_A_ROW)
        raise FeatureError(f"{path} is no raw file. Name a file that ends in .csv or .parquet.")

    def batches(self) -> Iterator[RawBatch]:
        """All rows, in their order. Raises FeatureError where the file cannot be read on."""
        with _translate_read_errors(self.path):
            yield from self._parquet() if self.path.suffix.lower() == ".parquet" else self._csv()

    def _parquet(self) -> Iterator[RawBatch]:
        with pq.ParquetFile(self.path) as file:
            done = 0
            for batch in file.iter_batches(_ROWS):
                rows = pl.int_range(done + 1, done + 1 + batch.num_rows, eager=True)
                done += batch.num_rows
                cells = pl.DataFrame(pl.from_arrow(batch))
                yield RawBatch(rows, cells, [], done / file.metadata.num_rows)

    def _csv(self) -> Iterator[RawBatch]:
        size, read, done = self.path.stat().st_size, 0, 0
        broken = _BrokenLines()
        with _csv(self.path, self.columns, broken) as reader:
            for batch in reader:
                found = broken.pop_until(done + batch.num_rows)
                numbers = _row_numbers(done, batch.num_rows, [number for number, _ in found])
                done += batch.num_rows + len(found)
                read += batch.nbytes
                yield RawBatch(
                    numbers, pl.DataFrame(pl.from_arrow(batch)), found, min(1.0, read / size)
                )
        last = broken.lines
        if last:
            cells = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.Binary))
            yield RawBatch(pl.Series([], dtype=pl.Int64), cells, last, 1.0)


@dataclass
class _BrokenLines:
    """Takes what pyarrow says of lines that are no rows; `source` knows those that were exchanged."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    source: SanitisingCsvReader | None = None

    def __call__(self, row: Any) -> str:
        text = row.text
        if self.source and text == self.source.mark:
            text = self.source.spoilt.popleft()
        self.lines.append((row.number - 1, text))  # its numbers count the heading
        return "skip"

    def pop_until(self, up_to: int) -> list[tuple[int, str]]:
        """The lines since the last call, up to the row of this number; each of them moves that one further."""
        found: list[tuple[int, str]] = []
        while self.lines and self.lines[0][0] <= up_to + len(found) + 1:
            found.append(self.lines.pop(0))
        return found


def _row_numbers(done: int, good: int, broken: list[int]) -> pl.Series:
    every = pl.int_range(done + 1, done + 1 + good + len(broken), eager=True)
    return every.filter(~every.is_in(broken)) if broken else every


@contextmanager
def _csv(path: Path, columns: tuple[str, ...], broken: _BrokenLines) -> Iterator[Any]:
    with path.open("rb") as file:
        broken.source = SanitisingCsvReader(file, len(columns), _BLOCK)
        with pv.open_csv(
            broken.source,
            read_options=pv.ReadOptions(block_size=_BLOCK, use_threads=False),
            parse_options=pv.ParseOptions(newlines_in_values=True, invalid_row_handler=broken),
            convert_options=pv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.binary()),
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        ) as reader:
            yield reader


def _check_heading(path: Path) -> None:
    """Refuse what is no text in UTF-8, and a heading that goes on in the next line."""
    with path.open("rb") as file:
        line = file.readline(_BLOCK).rstrip(b"\n").partition(b"\r")[0]
    try:
        heading = line.decode()
    except UnicodeDecodeError:
        heading = "\0"
    if "\0" in heading:
        raise FeatureError(
            f"The heading of {path} is no text in UTF-8. Save the file as CSV in UTF-8, not packed."
        )
    if leaves_quote_open(heading):
        raise FeatureError(f"The heading of {path} opens a quote that it does not close. Close it.")


def _require_unique(path: Path, names: list[str]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FeatureError(f"{path} has the column {twice[0]!r} more than once. Name each once.")
    return tuple(names)


def _check_types(path: Path, schema: pa.Schema) -> None:
    """Refuse what polars has no type for, such as a time zone that nobody knows, or decimals of 256 bits."""
    for name, column in zip(schema.names, schema.empty_table().columns, strict=True):
        try:
            known = "decimal256" not in str(column.type) and pl.from_arrow(column) is not None
        except pl.exceptions.PolarsError:
            known = False
        if not known:
            raise FeatureError(
                f"{path} has the column {name!r} of the type {column.type}, which cannot be read. Write it as another,"
                " such as text, or times in UTC."
            )


@contextmanager
def _translate_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FeatureError(f"There is no file {path}. Name a file of raw rows.") from error
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise FeatureError(
            f"{path} cannot be read: {line}. See whether it is whole, and what its name says."
        ) from error
