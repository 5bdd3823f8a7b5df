"""Reads CSV, Parquet and Arrow, from bytes or a file, as a stream of record batches in constant memory."""

import codecs
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from operator import length_hint
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from windlass.core.csv_format import DEFAULT_CSV, CsvFormat
from windlass.errors import BrokenLineError, InputError, TableError, counted
from windlass.tables.arrow_numpy import text_array
from windlass.tables.csv_reader import (
    BrokenLine,
    CsvReader,
    CsvReadOptions,
    require_unique,
)
from windlass.tables.line_numbers import find_lines
from windlass.tables.text_columns import is_text

BATCH_ROWS = 1 << 16
MAX_COLUMNS = 20_000
_FEW_ROWS = 1 << 10
_FEW_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 18  # bytes of CSV parsed at a time, and the longest line
_MAX_LINE_CHARS = 1000  # characters of a ragged line: an open quote makes it very long
_ARROW_FILE = b"ARROW1"


class TableReader:
    """Iterates over a table's record batches, of at most 65,536 rows where the form allows it.

    Small batches of Arrow are joined: each has a cost of its own, and a stream may have one for each row.
    CSV and Excel come as columns of text, "" where a cell is empty. A broken line of CSV is an error, unless there is
    `on_broken`, to which it goes before the next batch or earlier; each line is a record then, also inside quotes.
    A batch may be empty. Arrow is a stream or a file. `csv` is the format of CSV. Raises InputError for a source that
    cannot be read. Once it is left, it holds neither the source nor a thread.
    """

    def __init__(
        self,
        source: Path | bytes,
        form: str,
        on_broken: Callable[[BrokenLine], object] | None = None,
        csv: CsvFormat = DEFAULT_CSV,
    ) -> None:
        self._on_broken = on_broken
        self._csv = csv
        self._source = source
        self._rejected: BrokenLine | None = None
        self._name = str(source) if isinstance(source, Path) else "The body"
        self.form = form
        self._share: Callable[[], float] = lambda: 0.0
        self._open = ExitStack()
        with ExitStack() as failed:
            failed.callback(self._open.close)
            with self._translated():
                self.schema, self._batches = self._start(source)
            self._require_few_columns(len(self.schema))
            with self._translated():
                self.names: list[str] = list(self.schema.names)
            require_unique(self._name, self.names)
            failed.pop_all()

    def _require_few_columns(self, count: int) -> None:
        """Raise TableError before the names of very many columns are read."""
        if count > MAX_COLUMNS:
            reason = f"it has {counted(count, 'column')}, and at most {MAX_COLUMNS:,} are read."
            raise TableError(f"{self._name} cannot be read as {self.form}: {reason}", reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        share = self.share
        self._share = lambda: share
        self._batches = iter(())  # what parses refers to this reader, and to the source
        self._source = b""
        self._open.close()

    @property
    def has_text_only(self) -> bool:
        """Whether every column is text, whatever the row declares: in CSV and Excel."""
        return self.form in ("csv", "xlsx")

    @property
    def share(self) -> float:
        """Share of the table that has been read, 0 to 1."""
        return min(1.0, self._share())

    def __iter__(self) -> Iterator[Any]:
        batches = _join_small(self._read()) if self.form == "arrow" else self._read()
        for batch in batches:
            for at in range(0, max(batch.num_rows, 1), BATCH_ROWS):
                yield batch.slice(at, BATCH_ROWS)

    def _read(self) -> Iterator[Any]:
        while True:
            with self._translated():
                batch = next(self._batches, None)
                if batch is not None and self.form != "csv":
                    batch.validate(full=True)  # offsets stay inside, text is UTF-8
            if batch is None:
                return
            yield batch

    def _start(self, source: Path | bytes) -> tuple[Any, Iterator[Any]]:
        match self.form:
            case "csv":
                return self._start_csv(source)
            case "parquet":
                return self._start_parquet(source)
            case "arrow":
                return self._start_arrow(source)
            case "xlsx" if isinstance(source, Path):
                from windlass.tables.excel import read_sheet

                sheet = read_sheet(source, self._csv.decimal)
                return sheet.schema, iter(sheet.to_batches(BATCH_ROWS))
        raise InputError(f"{self._name} has an unknown format. Use csv, parquet or arrow.")

    def _start_csv(self, source: Path | bytes) -> tuple[Any, Iterator[Any]]:
        file = self._file(source)
        if self._csv.encoding != "utf-8":
            file = _Utf8File(file, self._csv.encoding)
        lenient = self._on_broken is not None
        options = CsvReadOptions(
            _BLOCK_BYTES, line_per_record=lenient, delimiter=self._csv.delimiter
        )
        reader = CsvReader(file, self._name, options, self._report)
        self._share = lambda: reader.share
        schema = pa.schema([(name, pa.string()) for name in reader.schema.names])
        return schema, (_as_text(batch, schema) for batch in reader)

    def _start_parquet(self, source: Path | bytes) -> tuple[Any, Iterator[Any]]:
        from pyarrow import parquet

        schema = parquet.read_schema(self._file(source))
        # a text that is stored once stays once, however many rows it stands in
        texts = [field.name for field in schema if is_text(field.type)]
        file = parquet.ParquetFile(
            self._file(source), buffer_size=_BLOCK_BYTES, pre_buffer=False, read_dictionary=texts
        )
        done = 0

        def batches() -> Iterator[Any]:
            nonlocal done
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                done += batch.num_rows
                yield batch

        self._share = lambda: done / max(file.metadata.num_rows, 1)
        return file.schema_arrow, batches()

    def _start_arrow(self, source: Path | bytes) -> tuple[Any, Iterator[Any]]:
        file = self._file(source)
        size = max(file.size(), 1)
        is_file = file.read(len(_ARROW_FILE)) == _ARROW_FILE
        file.seek(0)
        self._share = lambda: file.tell() / size
        if not is_file:
            reader = pa.ipc.open_stream(file)
            return reader.schema, iter(reader)
        reader = pa.ipc.open_file(file)
        count = reader.num_record_batches
        left = iter(range(count))
        self._share = lambda: 1 - length_hint(left) / max(count, 1)
        return reader.schema, map(reader.get_batch, left)

    def _file(self, source: Path | bytes) -> Any:
        if isinstance(source, bytes):
            return pa.BufferReader(source)
        if self.form == "arrow":  # a batch may be as large as the file: let the system page it
            return self._open.enter_context(pa.memory_map(str(source)))
        return self._open.enter_context(pa.OSFile(str(source), "rb"))

    def _report(self, line: BrokenLine) -> bool:
        if self._on_broken is None:
            self._rejected = line
            return False
        self._on_broken(replace(line, text=line.text[:_MAX_LINE_CHARS]))
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = self._error_reason(error)
            first = next(iter(str(error).splitlines()), type(error).__name__)[:200].rstrip(".")
            text = reason or f"{first}. Check the file."
            kind = TableError if self._rejected is None else BrokenLineError
            raise kind(f"{self._name} cannot be read as {self.form}: {text}", reason) from error

    def _error_reason(self, error: Exception) -> str:
        """Returns the reason, which quotes nothing of the table; empty if there is none."""
        if self._rejected is not None:
            row = self._rejected.row
            line = find_lines(self._source, self._csv, [row]).get(row)
            position = f"row {row}" if line is None else f"line {line}"
            return f"{position} has {self._rejected.reason}. Correct it."
        if isinstance(error, UnicodeDecodeError) and self._csv.encoding != "utf-8":
            return f"it is not {self._csv.encoding}, the encoding that the row declares."
        if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
            return "it is not UTF-8. Save it as UTF-8."
        if isinstance(error, OSError) and error.errno:
            return f"{os.strerror(error.errno)}. Check the file."
        return ""


def _as_text(batch: Any, schema: Any) -> Any:
    """Returns the batch with columns of text, "" where a cell is null. Raises ArrowInvalid where it is not UTF-8."""
    if batch.schema.equals(schema):
        return batch
    empty = text_array([""])[0]
    arrays = [pc.fill_null(column.cast(pa.string()), empty) for column in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _join_small(batches: Iterator[Any]) -> Iterator[Any]:
    """Yields the batches, neighbours joined to about _FEW_ROWS rows or _FEW_BYTES bytes."""
    few: list[Any] = []
    rows = size = 0
    for batch in batches:
        few.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _FEW_ROWS or size >= _FEW_BYTES:
            yield _concat(few)
            few, rows, size = [], 0, 0
    if few:
        yield _concat(few)


def _concat(batches: list[Any]) -> Any:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


class _Utf8File:
    """File of text in `encoding`, open for reading in binary, that reads as UTF-8.

    It has what a reader of CSV needs: `read`, `tell`, and `seek` to the start or the end. Positions are of the file.
    `read` raises UnicodeDecodeError for bytes that the encoding does not have.
    """

    def __init__(self, file: Any, encoding: str) -> None:
        self._file = file
        self.tell = file.tell
        self._new_decoder = codecs.getincrementaldecoder(encoding)
        self._decoder = self._new_decoder()

    def read(self, size: int) -> bytes:
        """Returns the text of about `size` bytes as UTF-8, and nothing at the end of the file."""
        while True:
            block: bytes = self._file.read(size)
            text = self._decoder.decode(block, final=not block)
            if text or not block:
                return text.encode()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Moves to the start or the end of the file; returns the position."""
        self._decoder = self._new_decoder()
        return int(self._file.seek(position, whence))
